"""What a suite is made of before anything runs: its tasks, their local files, their groups, and what is wrong with them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eval import catalogue
from eval.catalogue import Members
from eval.local_data import LocalTask, locate
from eval.settings import Suite
from gra.errors import EvalError, Problem
from gra.paths import conf_dir

_SAFE = "take humaneval_chat or mbpp_chat, which run it in a sandbox"
_PUT = "put the files there, name another folder: suite.data_dir=DIR, or leave out what is missing: suite.skip_missing=true"


@dataclass(frozen=True)
class Local:
    """What of a suite reads local files.

    `tasks`: single tasks with their files; `groups`: lm-eval's groups that hold some of them, name -> YAML; `skipped`: the suite's
    tasks that `suite.skip_missing` leaves out, each with what is missing; `problems`: what is missing otherwise.
    """

    tasks: list[LocalTask] = field(default_factory=list)
    groups: dict[str, Path] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def problems_of(suite: Suite, inputs: Mapping[str, Path | None]) -> list[Problem]:
    """What is wrong with a suite, as far as that can be seen without loading anything heavy."""
    problems = unnamed(suite)
    if problems:
        return problems
    if suite.data_dir is not None and not Path(suite.data_dir).is_dir():
        problems.append(Problem("suite.data_dir", f"no such folder: {suite.data_dir}", "name the folder of the benchmarks' files"))
    grouped = dict.fromkeys(task for members in suite.groups.values() for task in members if task not in suite.tasks)
    problems += [unknown(task, "suite.groups") for task in grouped if not catalogue.known(task)]
    for task in suite.tasks:
        if not catalogue.known(task):
            problems.append(unknown(task))
            continue
        path = catalogue.find(task)
        if path is not None and catalogue.read(path).get("unsafe_code"):
            problems.append(Problem("suite.tasks", f"{task} runs model-written code in this process", _SAFE))
    if runs_code(suite):
        from eval import code
        from eval.sandbox import SandboxError

        try:
            code.protect(suite.sandbox)
        except SandboxError as error:
            what, _, remedy = str(error).partition("\n    -> ")
            problems.append(Problem("suite.sandbox", what, remedy))
    if problems and problems[0].key == "suite.data_dir":
        return problems
    return [*problems, *local(suite, inputs).problems]


def unnamed(suite: Suite) -> list[Problem]:
    """That no benchmark is named at all, and which suites there are."""
    if suite.tasks:
        return []
    suites = sorted(path.stem for path in (conf_dir() / "suite").glob("*.yaml") if path.stem != suite.name)
    remedy = f"choose a suite: suite={' | '.join(suites)}, or name lm-eval's tasks or ours: 'suite.tasks=[gsm8k]'"
    return [Problem("suite.tasks", "no benchmark is named", remedy)]


def unknown(task: str, key: str = "suite.tasks") -> Problem:
    """That nobody knows a task of this name, and what was probably meant."""
    own = [*catalogue.own(), *catalogue.own_groups()]
    near = difflib.get_close_matches(task, [*own, *catalogue.names()], n=3)
    remedy = f"did you mean {' or '.join(near)}?" if near else f"ours are {', '.join(own)}; for lm-eval's see: lm-eval ls tasks"
    return Problem(key, f"no task is called {task}", remedy)


def runs_code(suite: Suite) -> bool:
    """Whether one of our tasks in the suite runs model-written code."""
    ours = [catalogue.read(catalogue.own()[task]) for task in suite.tasks if task in catalogue.own()]
    return any((spec.get("metadata") or {}).get("sandbox") for spec in ours)


def local(suite: Suite, inputs: Mapping[str, Path | None]) -> Local:
    """The tasks that read local files: our world's always do (from the input `benchmarks` first), others where
    `suite.data_dir` is set."""
    folders = [Path(suite.data_dir), Path(suite.data_dir) / "benchmarks"] if suite.data_dir is not None else []
    made = inputs.get("benchmarks")
    result = Local()
    nowhere = []  # tasks for whose items no folder is given: one fault, however many they are
    for task in suite.tasks:
        mine = folders
        if task in catalogue.own() and catalogue.read(catalogue.own()[task]).get("dataset_path") == "json":
            if made is None and "benchmarks" in inputs:
                continue  # an earlier step will make them
            mine = [made / "benchmarks", *folders] if made is not None else folders
            if not mine:
                nowhere.append(task)
                continue
        elif suite.data_dir is None or not catalogue.known(task):
            continue
        members = catalogue.members(task)
        if members is None:
            remedy = "name its tasks one by one"
            result.problems.append(
                Problem("suite.tasks", f"{task}: a group that defines its own tasks: cannot read local files", remedy)
            )
            continue
        found, fault = _located(task, members, mine, suite.num_fewshot)
        if fault is None:
            result.tasks.extend(found)
            result.groups.update(members.groups)
        elif suite.skip_missing:
            result.skipped[task] = fault
        else:
            result.problems.append(Problem("suite.tasks", fault, _PUT))
    if nowhere:
        text = f"no folder with the items of {', '.join(nowhere)}: neither an input `benchmarks` nor suite.data_dir is given"
        result.problems.insert(0, Problem("suite.data_dir", text, "name the folder of the benchmarks' files: suite.data_dir=DIR"))
    if len(result.skipped) == len(suite.tasks):
        result.problems.append(Problem("suite.data_dir", "; ".join(result.skipped.values()), "nothing is left to evaluate"))
    return result


def without(suite: Suite, skipped: Iterable[str]) -> Suite:
    """The suite less these tasks. Raises EvalError if none is left."""
    out = set(skipped)
    tasks = tuple(task for task in suite.tasks if task not in out)
    if not tasks:
        raise EvalError(f"no data for any of {', '.join(suite.tasks)}: nothing is left to evaluate")
    groups = {group: kept for group, members in suite.groups.items() if (kept := tuple(m for m in members if m not in out))}
    return suite.model_copy(update={"tasks": tasks, "groups": groups})


def owners(suite: Suite, subtasks: Mapping[str, list[str]], logged: list[str]) -> dict[str, str]:
    """Leaf task -> the name in the suite that it counts for (a tag's tasks count for themselves), in the suite's order."""
    from eval.samples import leaves

    named = {leaf: task for task in suite.tasks for leaf in leaves(task, subtasks)}
    found = {leaf: task for leaf, task in named.items() if leaf in logged}
    found |= {leaf: leaf for leaf in logged if leaf not in found}
    if not found:
        raise EvalError(f"lm-eval logged no samples for {', '.join(suite.tasks)}")
    return found


def scored(suite: Suite, owner_of: Mapping[str, str], skipped: Iterable[str]) -> list[str]:
    """The names that stand in the scores, in the suite's order: what was skipped keeps its place, a tag's tasks come last."""
    names, out = dict.fromkeys(owner_of.values()), set(skipped)
    return [*(task for task in suite.tasks if task in names or task in out), *(name for name in names if name not in suite.tasks)]


def groups_of(suite: Suite) -> dict[str, str]:
    """Task -> group: as the suite says, else as our own YAMLs say (`metadata.group`); the others stand for themselves."""
    groups: dict[str, str] = {}
    ours = catalogue.own() | catalogue.own_groups()
    for task in suite.tasks:
        if task in ours:
            group = (catalogue.read(ours[task]).get("metadata") or {}).get("group")
            groups |= {task: group} if group else {}
    return groups | {task: group for group, members in suite.groups.items() for task in members}


def _located(task: str, members: Members, folders: list[Path], shots: int | None) -> tuple[list[LocalTask], str | None]:
    """The single tasks behind `task` with their files; or what is missing: a mean over fewer of them would be another benchmark."""
    found, faults = [], []
    for name, path in members.tasks.items():
        one, missing = locate(name, path, catalogue.read(path), folders, shots)
        found.append(one)
        faults += missing
    if len(faults) > 1:
        return found, f"{task}: {len(faults)} files of {len(found)} tasks are missing; the first: {faults[0]}"
    return found, faults[0] if faults else None
