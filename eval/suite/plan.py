"""Resolves a suite before anything runs: finds its tasks, their local files and groups, and all faults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gra import spelling
from gra.errors import EvalError, Problem, parts_of
from gra.eval.settings import Suite
from gra.eval.suite import catalogue
from gra.eval.suite.catalogue import Members
from gra.eval.suite.local_data import LocalTask, locate
from gra.paths import conf_dir

_SAFE = "use humaneval_chat or mbpp_chat, which run it in a sandbox"
_PUT = "add the files, set another folder: suite.data_dir=DIR, or skip tasks without data: suite.skip_missing=true"
_ADD = "add the files, or set another folder: suite.data_dir=DIR"


@dataclass(frozen=True)
class LocalFiles:
    """The tasks of a suite that read local files, and the faults that were found.

    `tasks`: the single tasks with their files.
    `groups`: the YAMLs of lm-eval's groups that contain these tasks, by the group's name.
    `skipped`: the reason for each task that `suite.skip_missing` leaves out.
    `problems`: the faults, such as missing files if `suite.skip_missing` is off.
    """

    tasks: list[LocalTask] = field(default_factory=list)
    groups: dict[str, Path] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def problems_of(suite: Suite, inputs: Mapping[str, Path | None]) -> list[Problem]:
    """Return all faults of a suite that can be found without loading anything heavy."""
    problems = unnamed(suite)
    if problems:
        return problems
    if suite.data_dir is not None and not Path(suite.data_dir).is_dir():
        problems.append(
            Problem("suite.data_dir", f"no such folder: {suite.data_dir}", "set the folder of the benchmarks' files")
        )
    if suite.task_dir is not None and not Path(suite.task_dir).is_dir():
        remedy = "set the folder of your tasks' YAMLs"
        return [*problems, Problem("suite.task_dir", f"no such folder: {suite.task_dir}", remedy)]
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
        from gra.eval.sandbox import SandboxError
        from gra.eval.scoring import code

        try:
            code.protect(suite.sandbox)
        except SandboxError as error:
            what, remedy = parts_of(error)
            problems.append(Problem("suite.sandbox", what, remedy))
    if problems and problems[0].key == "suite.data_dir":
        return problems
    return [*problems, *local(suite, inputs).problems]


def unnamed(suite: Suite) -> list[Problem]:
    """Return a fault if the suite has no tasks; [] if it has some. The fault names the suites to choose from."""
    if suite.tasks:
        return []
    suites = sorted(path.stem for path in (conf_dir() / "suite").glob("*.yaml") if path.stem != suite.name)
    remedy = f"choose a suite: suite={' | '.join(suites)}, or list tasks of lm-eval or ours: 'suite.tasks=[gsm8k]'"
    return [Problem("suite.tasks", "no benchmark is chosen", remedy)]


def unknown(task: str, key: str = "suite.tasks") -> Problem:
    """Return the fault of an unknown task, suggesting known names with a similar spelling."""
    own = [*catalogue.own(), *catalogue.own_groups()]
    near = spelling.near(task, [*own, *catalogue.names()], most=3)
    remedy = (
        f"did you mean {' or '.join(near)}?" if near else f"ours: {', '.join(own)}; lm-eval's: run `lm-eval ls tasks`"
    )
    return Problem(
        key, f"there is no task {task}", f"{remedy}; a benchmark of your own: suite.task_dir=DIR (docs/extending.md)"
    )


def runs_code(suite: Suite) -> bool:
    """Return whether the suite contains one of our tasks that run model-written code."""
    ours = [catalogue.read(catalogue.own()[task]) for task in suite.tasks if task in catalogue.own()]
    return any((spec.get("metadata") or {}).get("sandbox") for spec in ours)


def local(suite: Suite, inputs: Mapping[str, Path | None]) -> LocalFiles:
    """Find the tasks of the suite that read local files, and their files.

    A benchmark that GRA generates for simulations (eval/tasks/world) always reads local files. These files come from
    the input `benchmarks`, or from `suite.data_dir` if the input does not have them. Any other task reads local files
    only if `suite.data_dir` is set.
    """
    folders = [Path(suite.data_dir), Path(suite.data_dir) / "benchmarks"] if suite.data_dir is not None else []
    made = inputs.get("benchmarks")
    result = LocalFiles()
    nowhere = []  # tasks for which no folder is given; reported as one fault
    for task in suite.tasks:
        mine = folders
        if task in catalogue.own() and catalogue.read(catalogue.own()[task]).get("dataset_path") == "json":
            if made is None and "benchmarks" in inputs:
                continue  # an earlier step makes them
            mine = [made / "benchmarks", *folders] if made is not None else folders
            if not mine:
                nowhere.append(task)
                continue
        elif suite.data_dir is None or not catalogue.known(task):
            continue
        members = catalogue.members(task)
        if members is None:
            message = f"{task}: suite.data_dir does not support a group whose YAML contains its tasks"
            result.problems.append(Problem("suite.tasks", message, "list its tasks one by one"))
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
        text = f"no folder with the items of {', '.join(nowhere)}: neither the input `benchmarks` nor suite.data_dir is given"
        result.problems.insert(
            0, Problem("suite.data_dir", text, "set the folder of the benchmarks' files: suite.data_dir=DIR")
        )
    if len(result.skipped) == len(suite.tasks):
        result.problems.append(
            Problem("suite.data_dir", f"nothing is left to evaluate: {'; '.join(result.skipped.values())}", _ADD)
        )
    return result


def without(suite: Suite, skipped: Iterable[str]) -> Suite:
    """Return the suite without the skipped tasks. Raises EvalError if none is left."""
    out = set(skipped)
    tasks = tuple(task for task in suite.tasks if task not in out)
    if not tasks:
        raise EvalError(
            f"no data for any of {', '.join(suite.tasks)}: nothing is left to evaluate\n"
            "    -> set suite.data_dir=DIR, or check access to the hub"
        )
    groups = {
        group: kept for group, members in suite.groups.items() if (kept := tuple(m for m in members if m not in out))
    }
    return suite.model_copy(update={"tasks": tasks, "groups": groups})


def owners(suite: Suite, subtasks: Mapping[str, list[str]], logged: list[str]) -> dict[str, str]:
    """Return, for each leaf task, the entry of `suite.tasks` that contains it, in the suite's order.

    If a leaf task belongs to the suite only through a tag, it is mapped to itself.

    Raises EvalError if lm-eval logged no samples.
    """
    from gra.eval.report.samples import leaves

    named = {leaf: task for task in suite.tasks for leaf in leaves(task, subtasks)}
    found = {leaf: task for leaf, task in named.items() if leaf in logged}
    found |= {leaf: leaf for leaf in logged if leaf not in found}
    if not found:
        raise EvalError(f"lm-eval logged no samples for {', '.join(suite.tasks)}")
    return found


def scored(suite: Suite, owner_of: Mapping[str, str], skipped: Iterable[str]) -> list[str]:
    """Return the names of the tasks that scores.json lists, in the suite's order.

    Skipped tasks are included. The leaf tasks of a tag come last.
    """
    names, out = dict.fromkeys(owner_of.values()), set(skipped)
    return [
        *(task for task in suite.tasks if task in names or task in out),
        *(name for name in names if name not in suite.tasks),
    ]


def groups_of(suite: Suite) -> dict[str, str]:
    """Return {task: group}. A task without a group has no entry.

    A group is stated by the suite, or else by the key `metadata.group` in the YAML of one of this project's tasks.
    """
    groups: dict[str, str] = {}
    ours = catalogue.own() | catalogue.own_groups()
    for task in suite.tasks:
        if task in ours:
            group = (catalogue.read(ours[task]).get("metadata") or {}).get("group")
            groups |= {task: group} if group else {}
    return groups | {task: group for group, members in suite.groups.items() for task in members}


def _located(task: str, members: Members, folders: list[Path], shots: int | None) -> tuple[list[LocalTask], str | None]:
    """Return the single tasks of `task` with their files, and a message if files are missing.

    All files are required, because a mean over fewer tasks would be another benchmark.
    """
    found, faults = [], []
    for name, path in members.tasks.items():
        one, missing = locate(name, path, catalogue.read(path), folders, shots)
        found.append(one)
        faults += missing
    if len(faults) > 1:
        return found, f"{task}: {len(faults)} files are missing for its {len(found)} tasks; the first: {faults[0]}"
    return found, faults[0] if faults else None
