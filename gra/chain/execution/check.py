"""Checks the configs of all steps before any work. Reports every fault with the file that set the key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gra import secret_patterns
from gra.chain.config.experiment import Step
from gra.chain.config.origin import from_root
from gra.chain.execution.plan import Plan, Planned
from gra.chain.stage import Stage
from gra.chain.store.fingerprint import leaves
from gra.errors import Problem

PYTHON = "Python"  # the origin of keys that a caller in Python set


@dataclass(frozen=True)
class Sources:
    """Tells where each key of a composed config was set. The place is a chosen file of a config group, the command
    line, or the root config's file."""

    choices: Mapping[str, str]  # group (or group@package) -> chosen option
    overrides: tuple[str, ...]  # as typed
    root: str  # the primary config's file
    root_keys: frozenset[str] = frozenset()  # dotted keys in that file; others come from the experiment
    experiment_keys: Mapping[str, str] = field(default_factory=dict)  # dotted key set by the experiment -> its file
    files: Mapping[str, str] = field(default_factory=dict)  # group -> file, only for files outside the project
    python: frozenset[str] = frozenset()  # dotted keys that a caller in Python set

    def file_of(self, key: str, overridden: Iterable[str] = ()) -> str:
        """Return the name of the file in which the dotted `key` was set. If it was set on the command line, return
        `command line: ...`.

        `overridden`: the dotted keys that the experiment changes with `override`, for one arm or step.
        """
        for override in reversed(self.overrides):
            name, _, _ = override.lstrip("+~").partition("=")
            if key == name or (key.startswith(f"{name}.") and name not in self.choices):
                return f"command line: {override}"
        if _setter(key, dict.fromkeys(self.python, PYTHON)):
            return PYTHON
        first = key.split(".")[0]
        for part in overridden:
            if key == part or key.startswith(f"{part}."):
                return f"the arm's override in {self._path('experiment')}"
        if file := _setter(key, self.experiment_keys):
            return file
        if _setter(key, dict.fromkeys(self.root_keys, self.root)) and first != "experiment":
            return self.root
        for group in self.choices:
            if group != "experiment" and group.split("@")[-1].replace("/", ".") == first:
                return self._path(group)
        own = {name.split(".")[0] for name in self.root_keys} - {"experiment"}
        return self.root if first in own else self._path("experiment")

    def _path(self, group: str) -> str:
        if group in self.files:
            return self.files[group]
        choice = self.choices.get(group)
        return f"conf/{group.split('@')[0]}/{choice}.yaml" if choice else self.root


def check_plan(
    plan: Plan, sources: Sources, on: Callable[[Planned], AbstractContextManager[None]] = lambda _item: nullcontext()
) -> list[Problem]:
    """Return the faults that the stages find in the steps' configs. If several steps have the same fault, it is listed
    once, with the names of the steps.

    `on`: a function that returns a context manager for a step. Inside this context, the step's config is checked for
        the machine that will run the step (gra/machine.py).
    """
    found: dict[Problem, list[Step]] = {}
    for item in plan.steps.values():
        with on(item):
            faults = check_step(item.stage, item.step.config, plan.input_folders(item))
        for problem in faults:
            problem = from_root(problem, item.step.root, item.step.places)
            where = problem.file or sources.file_of(problem.key, item.step.overridden)
            found.setdefault(replace(problem, file=where), []).append(item.step)
    return [replace(problem, message=f"{problem.message} [{steps_named(steps)}]") for problem, steps in found.items()]


def check_step(stage: Stage, config: dict[str, Any], inputs: Mapping[str, Path | None]) -> list[Problem]:
    """Return the faults of one step's config: unset values, secrets in plain text, and the faults that the stage's
    function `check` finds."""
    own = [
        Problem(key, "required, but not set", f"set it: {key}=VALUE") for key, value in leaves(config) if value == "???"
    ]
    own += _secrets(config)
    reported = {problem.key for problem in own}
    return own + [problem for problem in stage.check(dict(config), dict(inputs)) if problem.key not in reported]


def locate(problems: Iterable[Problem], sources: Sources) -> list[Problem]:
    """Return the problems without duplicates. A problem that names no file gets the file in which its key was set."""
    return list(dict.fromkeys(p if p.file else replace(p, file=sources.file_of(p.key)) for p in problems))


def _setter(key: str, files: Mapping[str, str]) -> str | None:
    """Return the file in `files` (dotted key -> file) that set `key` or the mapping that holds it."""
    parts = key.split(".")
    return next((files[name] for end in range(len(parts), 0, -1) if (name := ".".join(parts[:end])) in files), None)


def _secrets(config: Mapping[str, Any]) -> list[Problem]:
    """Return the faults of keys and URLs that would carry a secret into manifests and logs. The value is not shown."""
    problems = []
    for key, value in leaves(config):
        name = key.rsplit(".", 1)[-1]
        if secret_patterns.is_name(name) and value not in (None, "", {}, []):
            remedy = f"put it into an environment variable and give its name: {key}_env=NAME"
            problems.append(
                Problem(key, "secrets are not allowed in a config: they would be written into manifests", remedy)
            )
        elif isinstance(value, str) and secret_patterns.in_url(value):
            remedy = "remove it from the URL; give the name of an environment variable that holds it (api_key_env=NAME)"
            problems.append(
                Problem(key, "this URL contains a password or key, which would be written into manifests", remedy)
            )
    return problems


def steps_named(steps: Iterable[Step]) -> str:
    """Return the steps as words: `step a`, or `steps a, b, c and 2 more`. Replicates of a step are named once: `gra/data
    (replicates 0 and 1)`."""
    replicates: dict[str, list[str]] = {}
    for step in steps:
        name = f"{step.arm}/{step.name}" if step.arm else step.name
        replicates.setdefault(name, []).extend([] if step.replicate is None else [str(step.replicate)])
    found = [name + _of_replicates(numbers) for name, numbers in replicates.items()]
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return f"{'step' if len(found) == 1 else 'steps'} {', '.join(found[:3])}{more}"


def _of_replicates(numbers: list[str]) -> str:
    if not numbers:
        return ""
    *most, last = numbers
    return f" (replicates {', '.join(most)} and {last})" if most else f" (replicate {last})"
