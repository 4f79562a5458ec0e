"""STAGE 3: a model folder -> scores.json, samples.parquet, results.json, by lm-eval.

Command: python -m eval suite=world model.path=FOLDER_OR_HUB_ID suite.data_dir=DIR output=DIR
(in a chain, `inputs` holds `model`, a folder with model/, and for the simulated world's tasks `benchmarks`, with benchmarks/)
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval import plan
from eval.settings import EvalSettings, Model, Suite
from gra.errors import ConfigError, Problem
from gra.fileio import write_json, write_text
from gra.labels import MARK, simulated
from gra.settings import parse

NAME = "eval"
VERSION = 2  # 2: under a chat template no beginning-of-text token is put before what the template writes
# The files found in `data_dir` are hashed instead of its name (`external_files`).
NOT_HASHED = ("suite.data_dir", "suite.name")


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Every fault of the config and its inputs that can be seen without loading anything heavy."""
    settings, problems = parse(EvalSettings, config)
    if settings is None:
        return problems
    return [*_model_problems(settings, inputs), *plan.problems_of(settings.suite, inputs)]


def external_files(config: dict[str, Any]) -> dict[str, Path]:
    """The local files that the result depends on: the model's folder, and the benchmark files under `suite.data_dir`."""
    settings, problems = parse(EvalSettings, config)
    if settings is None:
        raise ConfigError(problems)
    files = {}
    if settings.model is not None and Path(settings.model.path).is_dir():
        files["model.path"] = Path(settings.model.path)
    if settings.suite.data_dir is not None:
        for task in plan.local_tasks(settings.suite, {})[0]:
            files |= {f"suite.data_dir:{task.name}:{split}": path for split, path in task.files.items()}
    return files


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Evaluate; see the module. Replies are kept by task under output/tasks, so that a killed run goes on from there.

    Raises ConfigError for what `check` finds, EvalError for a model or benchmark that cannot be evaluated.
    """
    problems = check(config, dict(inputs))
    settings, _ = parse(EvalSettings, config)
    if problems or settings is None:
        raise ConfigError(problems)

    from eval import harness, samples, scores

    suite = settings.suite
    model = settings.model or Model(path=str((inputs["model"] / "model").resolve()))
    if Path(model.path).is_dir():
        model = model.model_copy(update={"path": str(Path(model.path).resolve())})  # never mistaken for a hub id
    local, _ = plan.local_tasks(suite, dict(inputs))
    if plan.runs_code(suite):
        from eval import code

        code.protect(suite.sandbox)
    with tempfile.TemporaryDirectory(prefix="gra-eval-") as scratch:
        found = harness.evaluate(settings, model, local, output / "tasks", Path(scratch))
    if found is None:
        return {}  # the first process of the group writes the files

    results, logged = found
    rows = []
    metrics: dict[str, str] = {}
    owner_of = plan.owners(suite, results.get("group_subtasks", {}), list(logged))
    for subtask, task in owner_of.items():
        rows += samples.rows(task, subtask, logged[subtask])
        metrics.setdefault(task, logged[subtask][0]["metrics"][0])
        lines = (json.dumps(sample, sort_keys=True, ensure_ascii=False) for sample in logged[subtask])
        write_text(output / "samples" / f"{subtask}.jsonl", "\n".join([*lines, ""]))
    labelled = [name for name, path in _sources(settings, inputs).items() if simulated([path])]
    result = scores.scores(list(dict.fromkeys(owner_of.values())), rows, metrics, plan.groups_of(suite), bool(labelled))
    if labelled:
        write_text(output / MARK, f"made from simulated inputs: {', '.join(labelled)}\n")
    write_json(output / "results.json", results)
    samples.write(output / "samples.parquet", rows)
    write_json(output / "scores.json", result)
    return scores.flat(result)


def _model_problems(settings: EvalSettings, inputs: Mapping[str, Path | None]) -> list[Problem]:
    if "model" in inputs and settings.model is not None:
        return [Problem("model.path", "set, while an earlier step gives the model as input `model`", "drop one of the two")]
    if settings.model is not None:
        folder = Path(settings.model.path)
        is_path = folder.is_absolute() or settings.model.path.startswith((".", "~")) or settings.model.path.count("/") > 1
        if is_path and not folder.exists():
            return [Problem("model.path", f"no such folder: {folder}", "name a model folder, or a hub id such as owner/name")]
        return _folder_problems("model.path", folder, settings.suite) if folder.exists() else []  # else a hub id
    if "model" not in inputs:
        return [Problem("model.path", "no model to evaluate", "set model.path=FOLDER_OR_HUB_ID, or give the step an input `model`")]
    given = inputs["model"]
    return _folder_problems("inputs.model", given / "model", settings.suite) if given is not None else []


def _folder_problems(key: str, folder: Path, suite: Suite) -> list[Problem]:
    if not (folder / "config.json").is_file():
        return [Problem(key, f"not a model folder: {folder} has no config.json", "name a folder written by save_pretrained")]
    tokenizer = folder / "tokenizer_config.json"
    has_template = (folder / "chat_template.jinja").is_file() or (
        tokenizer.is_file() and '"chat_template"' in tokenizer.read_text(encoding="utf-8", errors="replace")
    )
    if suite.apply_chat_template and not has_template:
        remedy = "set suite.apply_chat_template=false, or give the model's tokenizer a chat template"
        return [Problem("suite.apply_chat_template", f"the model has no chat template: {folder}", remedy)]
    return []


def _sources(settings: EvalSettings, inputs: Mapping[str, Path]) -> dict[str, Path]:
    """What the result was made from, by the name of the input or the key of the config that gives it."""
    named = {"model.path": settings.model.path if settings.model is not None else None, "suite.data_dir": settings.suite.data_dir}
    return dict(sorted(inputs.items())) | {key: Path(text) for key, text in named.items() if text is not None}
