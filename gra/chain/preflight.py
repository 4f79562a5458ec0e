"""What a run needs outside its config, looked at for all steps at once before anything is created or paid."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from gra.chain.check import Sources, locate, steps_named
from gra.chain.origin import from_root
from gra.chain.plan import Plan
from gra.errors import ConfigError, Problem


def preflight_plan(plan: Plan, sources: Sources) -> list[Problem]:
    """The faults that the stages of the steps that would run find outside their configs, each once, with the steps that have it.

    Inputs that are not made yet are None to a stage, which then looks at the rest: a fault of the last step is told before the
    first one begins.
    """
    found: dict[Problem, list[str]] = {}
    twins = plan.twins()
    for name, item in plan.steps.items():
        if item.folder is not None or twins[name] != name:
            continue
        for problem in item.stage.preflight(dict(item.step.config), plan.input_folders(item)):
            problem = from_root(problem, item.step.root, item.step.places)
            where = problem.file or sources.file_of(problem.key, item.step.overridden)
            found.setdefault(replace(problem, file=where), []).append(name)
    return [replace(problem, message=f"{problem.message} [{steps_named(names)}]") for problem, names in found.items()]


def writable_problems(key: str, folder: Path) -> list[Problem]:
    """What keeps `folder` from being made or written, as far as can be told without trying."""
    there = folder.absolute()
    while not there.exists() and not there.is_symlink() and there != there.parent:
        there = there.parent
    remedy = f"give a folder that can be written: {key}=DIR"
    if not there.is_dir():
        return [Problem(key, f"{there} is not a folder", remedy)]
    if not os.access(there, os.W_OK | os.X_OK):
        readonly = bool(os.statvfs(there).f_flag & os.ST_RDONLY)
        why = "its file system is mounted read-only" if readonly else "no permission"
        return [Problem(key, f"{there} cannot be written: {why}", remedy)]
    return []


def stop_or_tell(problems: Iterable[Problem], sources: Sources) -> None:
    """Raise ConfigError with all problems if one of them stops the run; else say those that may pass on standard error."""
    problems = locate(problems, sources)
    if any(not problem.passing for problem in problems):
        raise ConfigError(problems)
    for problem in problems:
        print(f"note: {problem.key}: {problem.message}; its models cannot be checked yet", file=sys.stderr, flush=True)
