"""What a suite is made of before anything runs: its tasks, their local files, their groups, and what is wrong with them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from eval import catalogue
from eval.local_data import LocalTask, locate
from eval.settings import Suite
from gra.errors import EvalError, Problem

_SAFE = "take humaneval_chat or mbpp_chat, which run it in a sandbox"


def problems_of(suite: Suite, inputs: Mapping[str, Path | None]) -> list[Problem]:
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
    if runs_code(suite) and suite.sandbox == "auto":
        from eval.sandbox import SandboxError, isolation

        try:
            isolation()
        except SandboxError as error:
            what, _, remedy = str(error).partition("\n    -> ")
            problems.append(Problem("suite.sandbox", what, remedy))
    if problems and problems[0].key == "suite.data_dir":
        return problems
    return [*problems, *local_tasks(suite, inputs)[1]]


def runs_code(suite: Suite) -> bool:
    """Whether one of our tasks in the suite runs model-written code."""
    ours = [catalogue.read(catalogue.own()[task]) for task in suite.tasks if task in catalogue.own()]
    return any((spec.get("metadata") or {}).get("sandbox") for spec in ours)


def local_tasks(suite: Suite, inputs: Mapping[str, Path | None]) -> tuple[list[LocalTask], list[Problem]]:
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


def owners(suite: Suite, subtasks: Mapping[str, list[str]], logged: list[str]) -> dict[str, str]:
    """Leaf task -> the name in the suite that it counts for (a tag's tasks count for themselves), in the suite's order."""
    from eval.samples import leaves

    named = {leaf: task for task in suite.tasks for leaf in leaves(task, subtasks)}
    found = {leaf: task for leaf, task in named.items() if leaf in logged}
    found |= {leaf: leaf for leaf in logged if leaf not in found}
    if not found:
        raise EvalError(f"lm-eval logged no samples for {', '.join(suite.tasks)}")
    return found


def groups_of(suite: Suite) -> dict[str, str]:
    """Task -> group: as the suite says, else as our own YAMLs say (`metadata.group`); the others stand for themselves."""
    groups: dict[str, str] = {}
    for task in suite.tasks:
        if task in catalogue.own():
            group = (catalogue.read(catalogue.own()[task]).get("metadata") or {}).get("group")
            groups |= {task: group} if group else {}
    return groups | {task: group for group, members in suite.groups.items() for task in members}
