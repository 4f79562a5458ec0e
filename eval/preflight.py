"""Checks what an evaluation needs outside its config: model and benchmarks on the hub or on disk, and the server's models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gra.errors import EvalError, Problem, parts_of
from gra.eval.settings import EvalSettings, Model, Suite
from gra.eval.suite import catalogue, local_data, plan
from gra.hub import hub_problem, is_hub_id
from gra.models.preflight import server_problems

_BUILDERS = ("json", "csv", "parquet", "text", "arrow")  # `dataset_path` of tasks that read files


def problems(settings: EvalSettings, inputs: Mapping[str, Path | None]) -> list[Problem]:
    """Return the faults that show only when the model, the benchmarks and the server are looked up.

    Faults of the config itself are found by the stage's `check`. If a key of the config is faulty, the checks here that
    need this key are skipped.
    """
    return [*_benchmarks(settings.suite, inputs), *_model(settings.model or Model(), inputs)]


def _model(model: Model, inputs: Mapping[str, Path | None]) -> list[Problem]:
    found: list[Problem] = []
    if model.backend == "server" and model.base_url is not None and (model.name or model.path):
        remedy = "set model.name to the server's name for the model"
        urls = {model.name or model.path: [model.base_url.rstrip("/")]}
        found += server_problems("model.name", urls, model.api_key_env, remedy, "model.base_url")
    rendered_there = model.backend == "server" and model.send == "messages"
    if model.path and "model" not in inputs and is_hub_id(model.path) and not rendered_there:
        fault = hub_problem("model.path", model.path, revision=None if model.revision == "main" else model.revision)
        found += [fault] if fault is not None else []
    return found


def _benchmarks(suite: Suite, inputs: Mapping[str, Path | None]) -> list[Problem]:
    """Read the benchmarks' local files, look for the data sets of the other tasks on the hub, and return the faults.

    With `suite.skip_missing`, missing data are no fault, so nothing is checked.
    """
    if suite.skip_missing or (suite.data_dir is not None and not Path(suite.data_dir).is_dir()):
        return []
    here = plan.local(suite, inputs)
    if here.problems:
        return []
    found: list[Problem] = []
    for task in here.tasks:
        for path in task.files.values():
            try:
                local_data.records(path, task.subject)
            except EvalError as error:
                what, remedy = parts_of(error)
                found.append(Problem("suite.data_dir", f"{what} [{task.name}]", remedy or "correct the file"))
    local = {task.name for task in here.tasks}
    sets: dict[str, list[str]] = {}
    for name in suite.tasks:
        members = catalogue.members(name) if catalogue.known(name) else None
        for leaf, yaml in (members.tasks if members is not None else {}).items():
            source = catalogue.read(yaml).get("dataset_path")
            if leaf not in local and isinstance(source, str) and source not in _BUILDERS and is_hub_id(source):
                sets.setdefault(source, []).append(name)
    for source, names in sets.items():
        fault = hub_problem("suite.tasks", source, "dataset")
        if fault is not None:
            tasks = ", ".join(dict.fromkeys(names))
            remedy = f"{fault.remedy} (suite.data_dir=DIR; gra fetch creates such a folder)"
            found.append(Problem("suite.tasks", f"{tasks}: {fault.message}", remedy))
    return list(dict.fromkeys(found))
