"""Checks and runs one stage with a composed config, for the commands (app.py) and for Python (gra/api)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gra.chain.config.origin import from_root
from gra.chain.execution.check import Sources, check_step, locate
from gra.chain.execution.preflight import stop_or_warn, writable_problems
from gra.chain.execution.runner import Result, follower, run_in_folder
from gra.chain.stage import Stage, load_stage
from gra.chain.store import manifest
from gra.chain.store.manifest import MANIFEST
from gra.errors import ConfigError, Problem

PLACES = ["config"]  # the key of an app's config that holds the stage's config


def carry_out(
    target: str,
    config: dict[str, Any],
    inputs: Mapping[str, Path],
    output: Path | None,
    problems: Sequence[Problem],
    unresolved: dict[str, Any],
    where: Sources,
) -> Result:
    """Run the stage `target`, which writes the folder `output`. If the folder is already finished, only return it.

    `problems`: the faults found so far. If one of them is about the output folder, `output` is None.
    `unresolved`: the command's whole config, before its `${...}` are resolved. It is used to find the key that the user
        has to correct, so that the message about a faulty value can name this key.
    `where`: the files in which keys were set.

    If there are faults, ConfigError is raised before any work. It lists all of them, but only the first fault of each
    key.
    """
    stage = load_stage(target)
    found = [
        *problems,
        *(
            Problem(f"inputs.{name}", f"{path}: no such folder", "correct the path")
            for name, path in inputs.items()
            if not path.exists()
        ),
    ]
    told = {problem.key for problem in problems}
    checked = (from_root(problem, unresolved, PLACES) for problem in check_step(stage, config, dict(inputs)))
    found += [problem for problem in checked if problem.key not in told]
    made = output is not None and ((output / MANIFEST).exists() or _whole(stage, config, output) is not None)
    if output is None or (not made and not follower() and not stage.follower(config)):
        reported = {problem.key for problem in found}
        outside = stage.preflight(dict(config), dict(inputs)) + (
            writable_problems("output", output) if output is not None else []
        )
        found += [p for p in (from_root(problem, unresolved, PLACES) for problem in outside) if p.key not in reported]
    stop_or_warn(found, where)
    assert output is not None  # if it is None, there were problems, and `stop_or_warn` raised
    hashes = {name: manifest.outside_hash(path) for name, path in inputs.items()}
    try:
        return run_in_folder(stage, config, inputs, hashes, output)
    except ConfigError as error:
        traced = (from_root(problem, unresolved, PLACES) for problem in error.problems)
        raise ConfigError(locate(traced, where)) from error


def _whole(stage: Stage, config: dict[str, Any], output: Path) -> Path | None:
    """Return the finished folder that makes this run unnecessary; None if there is none or the config is faulty."""
    try:
        return stage.whole(dict(config), output)
    except (KeyError, TypeError, ValueError):
        return None
