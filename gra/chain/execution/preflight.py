"""Checks what the steps need besides their configs, such as servers, files and GPUs, before anything is created or paid
for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from gra.chain.config.experiment import Step
from gra.chain.config.origin import from_root
from gra.chain.execution.check import Sources, locate, steps_named
from gra.chain.execution.plan import Plan, Planned
from gra.errors import ConfigError, Problem


def preflight_plan(
    plan: Plan, sources: Sources, on: Callable[[Planned], AbstractContextManager[None]] = lambda _item: nullcontext()
) -> list[Problem]:
    """Return the faults that keep unfinished steps from running but are not faults of a config, such as a missing GPU
    or file.

    All steps are checked before the first one starts. If an input does not exist yet, the stage gets None instead of
    the input's folder, and checks everything else. If several steps have the same fault, it is listed once, with the
    names of the steps.

    `on`: a function that returns a context manager for a step. Inside this context, the step is checked for the machine
        that will run the step (gra/machine.py).
    """
    found: dict[Problem, list[Step]] = {}
    twins = plan.twins()
    for name, item in plan.steps.items():
        if item.folder is not None or twins[name] != name:
            continue
        with on(item):
            faults = item.stage.preflight(dict(item.step.config), plan.input_folders(item))
        for problem in faults:
            problem = from_root(problem, item.step.root, item.step.places)
            where = problem.file or sources.file_of(problem.key, item.step.overridden)
            found.setdefault(replace(problem, file=where), []).append(item.step)
    return [replace(problem, message=f"{problem.message} [{steps_named(steps)}]") for problem, steps in found.items()]


def writable_problems(key: str, folder: Path) -> list[Problem]:
    """Return a fault if `folder` cannot be created or written, else []. The check writes nothing, so it may miss a
    fault.

    `key`: the config key that holds the name of the folder.
    """
    there = folder.absolute()
    while not there.exists() and not there.is_symlink() and there != there.parent:
        there = there.parent
    remedy = f"give a writable folder: {key}=DIR"
    if not there.is_dir():
        return [Problem(key, f"{there} is not a folder", remedy)]
    if not os.access(there, os.W_OK | os.X_OK):
        readonly = bool(os.statvfs(there).f_flag & os.ST_RDONLY)
        why = "its file system is mounted read-only" if readonly else "no permission"
        return [Problem(key, f"{there} cannot be written: {why}", remedy)]
    return []


def stop_or_warn(problems: Iterable[Problem], sources: Sources) -> None:
    """If all problems are possibly temporary, print them to standard error. Otherwise raise ConfigError with all
    problems.

    A problem is possibly temporary (`Problem.passing`) if, for example, a server is still starting.
    """
    problems = locate(problems, sources)
    if any(not problem.passing for problem in problems):
        raise ConfigError(problems)
    for problem in problems:
        print(f"note: {problem.key}: {problem.message}; its models cannot be checked yet", file=sys.stderr, flush=True)
