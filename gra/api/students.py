"""Functions to train and evaluate students, and to compare two evaluated models."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from gra.api.arguments import not_a_path, of_app
from gra.api.results import Scores, TrainedModel
from gra.api.running import run_stage
from gra.chain.config.kinds import group_options
from gra.errors import ConfigError, Problem
from gra.paths import conf_dir

Config = Mapping[str, Any]
STUDENT = "a hub id, a folder or a name of conf/student"


@of_app("train_app")
def train(
    data: str | PathLike[str],
    student: str | PathLike[str],
    *,
    output: str | Path,
    sft: str = "lora",
    seed: int = 0,
    config: Config | None = None,
) -> TrainedModel:
    """Fine-tune a model (the student) on a data folder with TRL. The command is `gra train`.

    Args:
        data: a data folder, or the `Data` that `synthesize` returned.
        student: hub id or folder of the model to fine-tune, or the name of a file of conf/student ("smollm2-135m",
            "qwen2.5-7b", ...). To use a folder of the same name, write "./NAME".
        output: the model folder. If it is unfinished, training resumes from a checkpoint. If it is finished, it is
            returned at once.
        sft: the training recipe, a file of conf/sft ("lora", "qlora", "paper", "cpu_small", ...).
        seed: seed of the order of samples and of dropout. On a GPU, two runs with the same seed may still not be bitwise identical.
        config: values for other keys of the config, which `gra train --cfg job` prints,
            e.g. {"sft.max_steps": 100, "tracking": "none"}.

    Returns:
        The model folder. Pass its `.path` to `AutoModelForCausalLM.from_pretrained`.

    Raises:
        ConfigError: the arguments have faults. The error lists all of them, before the model is loaded.
        TrainError: training failed. The same call resumes it.
    """
    faults = [*not_a_path("data", data, "a data folder"), *not_a_path("student", student, STUDENT)]
    if faults:
        raise ConfigError(faults)
    place = str(student.path if isinstance(student, TrainedModel) else student)
    named = isinstance(student, str) and student in group_options("student")
    values = {"seed": seed, "data": str(Path(data)), "student" if named else "student.model": place, "sft": sft}
    values |= config or {}
    problems = _without_weights(place, values) if named else []
    return TrainedModel(run_stage("gra.train.stage.run", "train_app", output, values, problems).folder)


@of_app("eval_app")
def evaluate(
    model: str | PathLike[str],
    suite: str = "smoke",
    *,
    output: str | Path,
    config: Config | None = None,
) -> Scores:
    """Score a model on benchmarks with lm-eval. The command is `gra eval`.

    Args:
        model: hub id, folder, or the `TrainedModel` that `train` returned.
        suite: the benchmarks, a file of conf/suite ("smoke", "paper", "paper_loglikelihood", ...).
        output: the scores folder. The model's replies are recorded in it, so the same call resumes an interrupted run.
        config: values for other keys of the config, which `gra eval --cfg job` prints,
            e.g. {"suite.limit": 50, "suite.data_dir": "data/benchmarks"}.

    Returns:
        The scores folder, with `.scores` and `.samples`.

    Raises:
        ConfigError: the arguments have faults. The error lists all of them, before the model is loaded.
        EvalError: the evaluation ended early.
    """
    if faults := not_a_path("model", model, "a hub id, a folder, or what gra.train returned"):
        raise ConfigError(faults)
    place = model.path if isinstance(model, TrainedModel) else model
    values = {"suite": suite, "model.path": str(place)}
    return Scores(run_stage("gra.eval.stage.run", "eval_app", output, {**values, **(config or {})}).folder)


def compare(first: str | PathLike[str], second: str | PathLike[str], **options: Any) -> dict[str, Any]:
    """Compare the scores of two models item by item, and return the differences (first minus second) with intervals.

    The command is `gra compare FOLDER FOLDER --json`. An item is one question of a benchmark.

    `first`, `second`: the scores folders of the two models.
    `options`: the keyword arguments `resamples`, `level` and `seed` (gra/compare/options.py).

    The result has the keys `mean` (all benchmarks), `groups` (one entry per group of benchmarks) and `tasks` (one entry
    per benchmark). An entry has several kinds of score: `strict` (right answers in the format that the benchmark asks
    for), `tolerant` (right answers in any clear format), `form` (strict minus tolerant) and `extraction` (replies with
    an answer in the requested format). For each kind, the entry holds the score of the `first` model, that of the
    `second` model and their `difference`, each as [value, low, high].

    The intervals show how much the choice of items matters. They hold only for these two trained models, not for other
    training runs. Raises EvalError if the runs cannot be compared, and ConfigError for faulty options.
    """
    from gra.compare.options import Options
    from gra.compare.pair import compare_runs
    from gra.compare.reading.folders import load
    from gra.settings import parse

    found, problems = parse(Options, options, "")
    if found is None:
        raise ConfigError(problems)
    return compare_runs(load(Path(first)), load(Path(second)), found)


def _without_weights(name: str, values: Mapping[str, Any]) -> list[Problem]:
    """Return why the student `name` of conf/student has no weights to start from; [] if it has, or `values` give them."""
    import yaml

    if values.get("student.model") is not None or values.get("student_folder") is not None:
        return []
    student = yaml.safe_load((conf_dir() / "student" / f"{name}.yaml").read_text(encoding="utf-8"))
    if student["model"] is not None:
        return []
    if student["build"] is None:
        return [
            Problem("student.model", f"{name!r} names no model", "give its hub id or folder as `student`", "Python")
        ]
    remedy = (
        "run an experiment with that step, e.g. `gra run experiment=quickstart`, and give the step's folder: "
        "config={'student_folder': FOLDER}; or train an existing model: a hub id, a folder, or 'smollm2-135m'"
    )
    return [
        Problem(
            "student.model", f"{name!r} is built from a text by the step `student` of an experiment", remedy, "Python"
        )
    ]
