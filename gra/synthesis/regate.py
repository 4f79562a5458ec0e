"""Runs the stage `regate`: decides the proposals of a finished synthesis again with other settings (thresholds, fewer
reviewers, other rules), without calling a model. Such a set of changed settings is called an arm; the stage writes the
arm's data folder.

As a step of an experiment: `_target_: gra.synthesis.regate.run`, `config: {regate: {tau: 7}}`, `inputs: {data: STEP}`.
The command `gra regate DATA_DIR tau=6,7,8` decides many arms at once (gra/synthesis/regating/sweep.py).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from gra.errors import ConfigError, NothingKept, Problem
from gra.settings import parse
from gra.synthesis.config import SynthesisRuntime
from gra.synthesis.regating.recorded import recorded_synthesis
from gra.synthesis.regating.regate import settings_of
from gra.synthesis.regating.run import RecordedRun
from gra.synthesis.regating.words import in_words

NAME = "regate"
VERSION = 1
SECTIONS = ("regate", "runtime")
INPUTS = ("data", "seeds", "benchmarks", "probe")

log = logging.getLogger("gra.synthesis")


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Return all faults of the config. If the folder of the input `data` (a finished run) exists already, a changed
    setting also counts as a fault if its effect cannot be computed from the run's recorded model calls."""
    problems = [
        Problem(key, "unknown key", f"known sections: {', '.join(SECTIONS)}") for key in config if key not in SECTIONS
    ]
    problems += [
        Problem(f"inputs.{name}", "this stage has no such input", f"one of: {', '.join(INPUTS)}")
        for name in inputs
        if name not in INPUTS
    ]
    if "data" not in inputs:
        problems.append(Problem("inputs.data", "required, but not set", "give the data folder of a synthesis"))
    problems += parse(SynthesisRuntime, config.get("runtime") or {}, "runtime")[1]
    changes = config.get("regate") or {}
    if not isinstance(changes, dict):
        return [*problems, Problem("regate", "a mapping of changed settings is expected here", "e.g. {tau: 7}")]
    recorded: dict[str, Any] = {}
    if (folder := inputs.get("data")) is not None:
        try:
            recorded = recorded_synthesis(folder)
        except ConfigError as error:
            return [*problems, *error.problems]
    return problems + settings_of(recorded, changes)[1]


def external_files(config: dict[str, Any]) -> dict[str, Path]:  # noqa: ARG001 - the recorded run's hash covers its files
    """Return {}: no file outside the config and the inputs affects the output."""
    return {}


def kept(folder: Path) -> str:  # noqa: ARG001 - the same for every folder
    """Return "", because a working folder of this stage holds nothing that is worth keeping. The stage makes no
    calls."""
    return ""


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Decide all recorded proposals again with changed settings, and write the resulting data folder. A set of changed
    settings is called an arm. Raises ConfigError or StoreError if the proposals cannot be decided with these settings,
    and NothingKept if no sample is kept."""
    if problems := check(config, dict(inputs)):
        raise ConfigError(problems)
    folder = inputs["data"]
    with RecordedRun(folder, inputs, config.get("runtime") or {}, output / "spool") as recorded:
        arm = recorded.arm(config.get("regate") or {})
        arm.material.write(output, arm.result, arm.stats)
    if not arm.undecided.exact:
        log.warning(
            "the samples can differ from those of a full run with these settings: %s", in_words(arm.undecided.account())
        )
    if not arm.stats["kept"]:
        raise NothingKept(f"{output}: the arm keeps no sample\n    -> choose a lower tau or a larger delta")
    counted = {key: float(arm.stats[key]) for key in ("proposals", "kept", "calls")}
    return {**counted, "undecided": float(arm.undecided.proposals.total()), "exact": float(arm.undecided.exact)}
