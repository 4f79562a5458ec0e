"""STAGE 3: a model folder -> scores.json, samples.parquet, results.json, by lm-eval.

Command: python -m eval suite=world model.path=FOLDER_OR_HUB_ID suite.data_dir=DIR output=DIR
(in a chain, `inputs` holds `model`, a folder with model/, and for the simulated world's tasks `benchmarks`, with benchmarks/)
"""

from __future__ import annotations

import difflib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval import catalogue
from eval.local_data import LocalTask, locate
from eval.settings import EvalSettings, Model, Suite
from gra.errors import ConfigError, EvalError, Problem
from gra.fileio import write_json, write_text
from gra.labels import MARK, simulated
from gra.settings import parse

NAME = "eval"
VERSION = 2  # 2: under a chat template no beginning-of-text token is put before what the template writes
# The files found in `data_dir` are hashed instead of its name (`external_files`).
NOT_HASHED = ("suite.data_dir", "suite.name")
_SAFE = "take humaneval_chat or mbpp_chat, which run it in a sandbox"


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Every fault of the config and its inputs that can be seen without loading anything heavy."""
    settings, problems = parse(EvalSettings, config)
    if settings is None:
        return problems
    return [*_model_problems(settings, inputs), *_task_problems(settings.suite, inputs)]


def external_files(config: dict[str, Any]) -> dict[str, Path]:
    """The local files that the result depends on: the model's folder, and the benchmark files under `suite.data_dir`."""
    settings, problems = parse(EvalSettings, config)
    if settings is None:
        raise ConfigError(problems)
    files = {}
    if settings.model is not None and Path(settings.model.path).is_dir():
        files["model.path"] = Path(settings.model.path)
    if settings.suite.data_dir is not None:
        for task in _plan(settings.suite, {})[0]:
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
    local, _ = _plan(suite, dict(inputs))
    if _runs_code(suite):
        from eval import code

        code.protect(suite.sandbox)
    with tempfile.TemporaryDirectory(prefix="gra-eval-") as scratch:
        found = harness.evaluate(settings, model, local, output / "tasks", Path(scratch))
    if found is None:
        return {}  # the first process of the group writes the files

    results, logged = found
    rows = []
    metrics: dict[str, str] = {}
    owners = _owners(suite, results.get("group_subtasks", {}), list(logged))
    for subtask, task in owners.items():
        rows += samples.rows(task, subtask, logged[subtask])
        metrics.setdefault(task, logged[subtask][0]["metrics"][0])
        lines = (json.dumps(sample, sort_keys=True, ensure_ascii=False) for sample in logged[subtask])
        write_text(output / "samples" / f"{subtask}.jsonl", "\n".join([*lines, ""]))
    labelled = [name for name, path in _sources(settings, inputs).items() if simulated([path])]
    result = scores.scores(list(dict.fromkeys(owners.values())), rows, metrics, _groups(suite), bool(labelled))
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


def _task_problems(suite: Suite, inputs: Mapping[str, Path | None]) -> list[Problem]:
    problems = []
    if suite.data_dir is not None and not Path(suite.data_dir).is_dir():
        problems.append(Problem("suite.data_dir", f"no such folder: {suite.data_dir}", "name the folder of the benchmarks' files"))
    for task in suite.tasks:
        if not catalogue.known(task):
            near = difflib.get_close_matches(task, [*catalogue.own(), *catalogue.official()], n=3)
            ours = f"ours are {', '.join(catalogue.own())}; for lm-eval's see: lm-eval ls tasks"
            remedy = f"did you mean {' or '.join(near)}?" if near else ours
            problems.append(Problem("suite.tasks", f"no task is called {task}", remedy))
            continue
        path = catalogue.find(task)
        if path is not None and catalogue.read(path).get("unsafe_code"):
            problems.append(Problem("suite.tasks", f"{task} runs model-written code in this process", _SAFE))
    if _runs_code(suite) and suite.sandbox == "auto":
        from eval.sandbox import SandboxError, isolation

        try:
            isolation()
        except SandboxError as error:
            what, _, remedy = str(error).partition("\n    -> ")
            problems.append(Problem("suite.sandbox", what, remedy))
    if problems and problems[0].key == "suite.data_dir":
        return problems
    return [*problems, *_plan(suite, inputs)[1]]


def _runs_code(suite: Suite) -> bool:
    """Whether one of our tasks in the suite runs model-written code."""
    ours = [catalogue.read(catalogue.own()[task]) for task in suite.tasks if task in catalogue.own()]
    return any((spec.get("metadata") or {}).get("sandbox") for spec in ours)


def _plan(suite: Suite, inputs: Mapping[str, Path | None]) -> tuple[list[LocalTask], list[Problem]]:
    """The tasks that read local files, with their files, and what is missing of these.

    Our world's tasks always do (from the input `benchmarks` first), official ones where `suite.data_dir` is set.
    """
    folders = [Path(suite.data_dir), Path(suite.data_dir) / "benchmarks"] if suite.data_dir is not None else []
    made = inputs.get("benchmarks")
    local, missing = [], []
    nowhere = []  # tasks for whose items no folder is given: one fault, however many they are
    for task in suite.tasks:
        path = catalogue.find(task)
        if task in catalogue.own() and catalogue.read(catalogue.own()[task]).get("dataset_path") == "json":
            if made is None and "benchmarks" in inputs:
                continue  # an earlier step will make them
            mine = [made / "benchmarks", *folders] if made is not None else folders
            if not mine:
                nowhere.append(task)
                continue
        elif suite.data_dir is None or not catalogue.known(task):
            continue
        else:
            mine = folders
        if path is None:
            missing.append(f"{task}: a group of tasks, which cannot read local files: name its tasks one by one")
            continue
        found, faults = locate(task, path, catalogue.read(path), mine, suite.num_fewshot)
        local.append(found)
        missing += faults
    remedy = "put the files there, or name another folder: suite.data_dir=DIR"
    problems = [Problem("suite.tasks", text, remedy) for text in missing]
    if nowhere:
        text = f"no folder with the items of {', '.join(nowhere)}: neither an input `benchmarks` nor suite.data_dir is given"
        problems.insert(0, Problem("suite.data_dir", text, "name the folder of the benchmarks' files: suite.data_dir=DIR"))
    return local, problems


def _owners(suite: Suite, subtasks: Mapping[str, list[str]], logged: list[str]) -> dict[str, str]:
    """Leaf task -> the name in the suite that it counts for (a tag's tasks count for themselves), in the suite's order."""
    from eval.samples import leaves

    named = {leaf: task for task in suite.tasks for leaf in leaves(task, subtasks)}
    owners = {leaf: task for leaf, task in named.items() if leaf in logged}
    owners |= {leaf: leaf for leaf in logged if leaf not in owners}
    if not owners:
        raise EvalError(f"lm-eval logged no samples for {', '.join(suite.tasks)}")
    return owners


def _groups(suite: Suite) -> dict[str, str]:
    """Task -> group: as the suite says, else as our own YAMLs say (`metadata.group`); the others stand for themselves."""
    groups: dict[str, str] = {}
    for task in suite.tasks:
        if task in catalogue.own():
            group = (catalogue.read(catalogue.own()[task]).get("metadata") or {}).get("group")
            groups |= {task: group} if group else {}
    return groups | {task: group for group, members in suite.groups.items() for task in members}


def _sources(settings: EvalSettings, inputs: Mapping[str, Path]) -> dict[str, Path]:
    """What the result was made from, by the name of the input or the key of the config that gives it."""
    named = {"model.path": settings.model.path if settings.model is not None else None, "suite.data_dir": settings.suite.data_dir}
    return dict(sorted(inputs.items())) | {key: Path(text) for key, text in named.items() if text is not None}
