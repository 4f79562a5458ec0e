"""Every fault of a configuration at once, before any work, each with the file that set the key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gra.chain.fingerprint import leaves
from gra.chain.origin import from_root
from gra.chain.plan import Plan
from gra.chain.stage import Stage
from gra.errors import Problem

_SECRET = re.compile(
    r"^(.*_)?(api_?key|password|passwd|secret|secret_key|access_key|private_key)$|^(hf|api|auth|access|bearer)_?token$", re.I
)
_URL_SECRET = re.compile(r"^[a-z][a-z0-9+.-]*://[^/\s@]*:[^/\s@]+@|[?&](api_?key|key|token)=", re.I)


@dataclass(frozen=True)
class Sources:
    """Where a composed config came from: the chosen file of each group, the command line, and the file at the root."""

    choices: Mapping[str, str]  # group (or group@package) -> chosen option
    overrides: tuple[str, ...]  # as given on the command line
    root: str  # the primary config's file
    root_keys: frozenset[str] = frozenset()  # the dotted keys that that file sets itself; any other an experiment sets
    experiment_keys: Mapping[str, str] = field(default_factory=dict)  # dotted key that the experiment sets -> its file
    files: Mapping[str, str] = field(default_factory=dict)  # group -> its file, where that is not one of the project's

    def file_of(self, key: str, overridden: Iterable[str] = ()) -> str:
        """The file that set the dotted `key`, or `command line`. `overridden`: dotted keys that the step's arm overrides."""
        for override in reversed(self.overrides):
            name, _, _ = override.lstrip("+~").partition("=")
            if key == name or (key.startswith(f"{name}.") and name not in self.choices):
                return f"command line: {override}"
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


def check_plan(plan: Plan, sources: Sources) -> list[Problem]:
    """The faults that the stages see in their configs, each once, with the steps that have it."""
    found: dict[Problem, list[str]] = {}
    for item in plan.steps.values():
        for problem in check_step(item.stage, item.step.config, plan.input_folders(item)):
            problem = from_root(problem, item.step.root, item.step.places)
            where = problem.file or sources.file_of(problem.key, item.step.overridden)
            found.setdefault(replace(problem, file=where), []).append(item.step.id)
    return [replace(problem, message=f"{problem.message} [{steps_named(ids)}]") for problem, ids in found.items()]


def check_step(stage: Stage, config: dict[str, Any], inputs: Mapping[str, Path | None]) -> list[Problem]:
    """The faults of one step's config: values left open, secrets written out, and whatever the stage's own check finds."""
    own = [Problem(key, "required, but not set", f"set it: {key}=VALUE") for key, value in leaves(config) if value == "???"]
    own += _secrets(config)
    told = {problem.key for problem in own}
    return own + [problem for problem in stage.check(dict(config), dict(inputs)) if problem.key not in told]


def locate(problems: Iterable[Problem], sources: Sources) -> list[Problem]:
    """The problems, each once, with the file that set the key where it is not known yet."""
    return list(dict.fromkeys(p if p.file else replace(p, file=sources.file_of(p.key)) for p in problems))


def _setter(key: str, files: Mapping[str, str]) -> str | None:
    """Of dotted keys with their files, the file of the one that is `key` or holds it."""
    parts = key.split(".")
    return next((files[name] for end in range(len(parts), 0, -1) if (name := ".".join(parts[:end])) in files), None)


def _secrets(config: Mapping[str, Any]) -> list[Problem]:
    """Keys and URLs that would carry a secret into manifests and logs. The value is not shown."""
    problems = []
    for key, value in leaves(config):
        name = key.rsplit(".", 1)[-1]
        if _SECRET.match(name) and value not in (None, "", {}, []):
            remedy = f"put it into an environment variable and name that: {key}_env=NAME"
            problems.append(Problem(key, "a secret must not stand in a config: it would be written into manifests", remedy))
        elif isinstance(value, str) and _URL_SECRET.search(value):
            remedy = "take it out of the URL; name an environment variable that holds it (api_key_env=NAME)"
            problems.append(Problem(key, "this URL holds a password or key, which would be written into manifests", remedy))
    return problems


def steps_named(ids: list[str]) -> str:
    """`step a`, `steps a, b, c and 2 more`."""
    shown = ", ".join(ids[:3])
    return f"step {shown}" if len(ids) == 1 else f"steps {shown}" + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
