"""Stage 3: evaluates a model with lm-eval and writes scores.json, samples.parquet and results.json.

Command: gra eval suite=smoke model.path=FOLDER_OR_HUB_ID output=DIR
(In a chain, `inputs` has the key `model`: a folder that contains model/. For the simulated world's tasks it also has
the key `benchmarks`: a folder that contains benchmarks/.)
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gra.errors import ConfigError, Problem
from gra.eval import cost_estimate
from gra.eval import preflight as outside
from gra.eval.inference import reply_store
from gra.eval.settings import EvalSettings
from gra.eval.suite import catalogue, model_check, plan
from gra.fileio import write_json, write_text
from gra.labels import MARK, QUANTIZED, quantized, simulated
from gra.outlook import Outlook, Upstream
from gra.settings import parse

NAME = "eval"
# Version 5: more wordings are read; tolerant code runs methods of a class. Version 4: suite.limit samples items; tasks set the
# token limit of a reply; truncated replies are counted; answers are read from what a reply affirms and denies; programs run as
# imported modules.
VERSION = 5
ADDED_LATER = {"suite.bos": "model"}
# For `data_dir` and `task_dir`, the files found there are hashed (`external_files`), not the names of the folders.
NOT_HASHED = ("suite.data_dir", "suite.task_dir", "suite.name", "model.base_url", "model.api_key_env")


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Return all faults of the config and its inputs that can be found without loading anything heavy."""
    settings, problems = parse(EvalSettings, config)
    if settings is None:
        return problems
    with catalogue.with_tasks_of(settings.suite.task_dir):
        return [*model_check.model_problems(settings, inputs), *plan.problems_of(settings.suite, inputs)]


def external_files(config: dict[str, Any]) -> dict[str, Path]:
    """Return the files outside the config that the result depends on, with a name for each.

    They are the model's folder, the benchmarks' local files and the files of the user's tasks. Raises ConfigError if
    the config cannot be parsed.
    """
    settings, problems = parse(EvalSettings, config)
    if settings is None:
        raise ConfigError(problems)
    files = {}
    if settings.model is not None and settings.model.path and Path(settings.model.path).is_dir():
        files["model.path"] = Path(settings.model.path)
    with catalogue.with_tasks_of(settings.suite.task_dir):
        if settings.suite.data_dir is not None:
            for task in plan.local(settings.suite, {}).tasks:
                files |= {f"suite.data_dir:{task.name}:{split}": path for split, path in task.files.items()}
        for name, yaml in catalogue.users().items():
            if name in settings.suite.tasks:
                files |= {f"suite.task_dir:{name}:{path.name}": path for path in catalogue.needed_files(yaml)}
    return files


def preflight(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Return the faults that make the model or the benchmarks unavailable."""
    settings, _ = parse(EvalSettings, config)
    if settings is None:
        return []
    with catalogue.with_tasks_of(settings.suite.task_dir):
        return outside.problems(settings, inputs)


def outlook(
    config: dict[str, Any],
    inputs: Mapping[str, Path | None],
    own: Path | None,  # noqa: ARG001
    earlier: Sequence[Path],  # noqa: ARG001
    upstream: Upstream,
) -> Outlook:
    """Return the FLOPs, GPU-hours and disk space that the evaluation will probably need. `gra plan` shows them.

    The config must have passed `check`.
    """
    settings = EvalSettings.model_validate(config)
    with catalogue.with_tasks_of(settings.suite.task_dir):
        return cost_estimate.outlook(settings, inputs, upstream)


def kept(folder: Path) -> str:
    """Return the number of replies stored in a folder as text, for example "12 replies"."""
    return reply_store.kept(folder)


def reuse(config: dict[str, Any], folders: Sequence[Path]) -> dict[str, Any]:
    """Return `config` with the folders of earlier runs added to the key `runtime.reuse`.

    The evaluation then takes replies to equal requests from these folders. A folder without a readable reply store is
    not added.
    """
    runtime = config.get("runtime") or {}
    found = [str(folder) for folder in folders if reply_store.readable(folder / reply_store.NAME)]
    return {**config, "runtime": {**runtime, "reuse": [*(runtime.get("reuse") or ()), *found]}} if found else config


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Run the evaluation and return its metrics.

    Replies are stored in output/replies.sqlite as they arrive, so a killed run resumes from there.

    Raises ConfigError if `check` finds faults, and EvalError if a model or benchmark cannot be evaluated.
    """
    problems = check(config, dict(inputs))
    settings, _ = parse(EvalSettings, config)
    if problems or settings is None:
        raise ConfigError(problems)
    with catalogue.with_tasks_of(settings.suite.task_dir):
        return _evaluate(settings, inputs, output)


def _evaluate(settings: EvalSettings, inputs: Mapping[str, Path], output: Path) -> dict[str, float]:
    from gra.eval.inference import harness
    from gra.eval.report import display, samples, scores, tracking
    from gra.eval.scoring import answers
    from gra.eval.suite import conditions

    suite = settings.suite
    model = model_check.model_of(settings, inputs)
    local = plan.local(suite, dict(inputs))
    settings = settings.model_copy(update={"suite": plan.without(suite, local.skipped)})
    if plan.runs_code(suite):
        from gra.eval.scoring import code

        code.protect(suite.sandbox)
    with tempfile.TemporaryDirectory(prefix="gra-eval-") as scratch, display.Progress(suite.tasks) as progress:
        results, logged = harness.evaluate(settings, model, local, output / reply_store.NAME, Path(scratch), progress)
    results["skipped"] = local.skipped | results["skipped"]
    rows = []
    metrics: dict[str, str] = {}
    owner_of = plan.owners(suite, results.get("group_subtasks", {}), list(logged))
    for subtask, task in owner_of.items():
        rows += samples.rows(
            task, subtask, logged[subtask], answers.kind_of(subtask, results["configs"].get(subtask, {}))
        )
        metrics.setdefault(task, logged[subtask][0]["metrics"][0])
        lines = (json.dumps(sample, sort_keys=True, ensure_ascii=False) for sample in logged[subtask])
        write_text(output / "samples" / f"{subtask}.jsonl", "\n".join([*lines, ""]))
    labelled = [name for name, path in _sources(settings, inputs).items() if simulated([path])]
    how = {
        task: conditions.conditions_of(results, [leaf for leaf, owner in owner_of.items() if owner == task])
        for task in metrics
    }
    tasks = plan.scored(suite, owner_of, results["skipped"])
    result = scores.scores(tasks, rows, metrics, plan.groups_of(suite), bool(labelled), how)
    if labelled:
        write_text(output / MARK, f"made from simulated inputs: {', '.join(labelled)}\n")
    result["quantized"] = quantized(_sources(settings, inputs).values())
    if result["quantized"] is not None:
        write_text(output / QUANTIZED, result["quantized"] + "\n")
    write_json(output / "results.json", results)
    samples.write(output / "samples.parquet", rows)
    write_json(output / "scores.json", result)
    print(display.table(result), end="", flush=True)
    tracking.record(settings, inputs, output, result, rows)
    return scores.flat(result)


def _sources(settings: EvalSettings, inputs: Mapping[str, Path]) -> dict[str, Path]:
    """Return the folders that the result is made from, by the name of the input or the key of the config."""
    named = {
        "model.path": (settings.model.path or None) if settings.model is not None else None,
        "suite.data_dir": settings.suite.data_dir,
    }
    return dict(sorted(inputs.items())) | {key: Path(text) for key, text in named.items() if text is not None}
