"""The stage `train`: tunes a student on a data folder and writes a model folder.

Command: gra train data=DIR student=... output=DIR

Inputs: `data` (a folder with data/train.parquet) and, optionally, `student` (a folder with model/, written by the stage `student`).
Without the input `student`, the student is `student.model`, a hub id or a folder. This module is light: `check` loads
no model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gra import model_folder
from gra.errors import ConfigError, Problem
from gra.outlook import Outlook, Upstream
from gra.settings import parse
from gra.train import cost_estimate, launch
from gra.train import preflight as outside
from gra.train.conflicts import conflicts
from gra.train.data import mixture, tokenised
from gra.train.data.rows import path_of
from gra.train.distributed import hardware, zero
from gra.train.loop import validation
from gra.train.loop.checkpoints import PREFIX
from gra.train.settings import RuntimeSettings, SftSettings, StudentSettings, TrainSettings
from gra.weights.student import command_for

NAME = "train"
# Version 2: the size of a pass follows from memory if the recipe leaves it open; sft.group_by_length; tied weights stay tied.
VERSION = 2
# Not hashed: save_steps changes no weight, so a run can resume with another value; names appear only in the model's card; sharding
# changes only rounding; check_ends runs after training.
ADDED_LATER = {"sft.bos": "model"}
NOT_HASHED = ("sft.save_steps", "sft.check_ends", "sft.sharding", "sft.name", "student.name")


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Train the student and return the metrics.

    These files are written to `output`: model/, log.csv, speed.csv, loss.png and metrics.json. A killed run resumes
    from its checkpoints in `output`.

    The metrics are train_loss (the mean over all steps), final_loss (the last logged loss), steps, samples, tokens
    (seen, in all epochs), parameters and trained_parameters. If `sft.held_out` is set, validation_loss is added. If
    `sft.check_ends` is set, ends_by_itself is added: the share of replies that ended before their token limit.

    Raises ConfigError if `check` finds faults, and TrainError if the data or the student cannot be used.
    """
    problems = check(config, dict(inputs))
    if problems:
        raise ConfigError(problems)
    settings = TrainSettings.model_validate(config)
    if launch.wanted(settings.runtime):
        return launch.train(settings, config, inputs, output)
    from gra.train.loop.sft import train

    return train(settings, inputs, output)


def check(config: dict[str, Any], inputs: Mapping[str, Path | None]) -> list[Problem]:
    """Return all faults that can be found before a model is loaded.

    `inputs`: the folder of each input. None stands for a folder that an earlier step of the experiment has not made
    yet.
    """
    sections = [
        parse(StudentSettings, config.get("student") or {}, "student"),
        parse(SftSettings, config.get("sft") or {}, "sft"),
        parse(RuntimeSettings, config.get("runtime") or {}, "runtime"),
    ]
    student, sft, runtime = (settings for settings, _ in sections)
    problems = [problem for _, found in sections for problem in found]
    if not problems:
        problems = parse(TrainSettings, config)[1]
    else:  # the faults of the sections are known; add those of the other keys
        problems += [
            p for p in parse(TrainSettings, config)[1] if p.key.split(".")[0] not in ("student", "sft", "runtime")
        ]
    problems += _inputs(inputs)
    if isinstance(student, StudentSettings):
        problems += _student(student, inputs)
    machine = hardware.here()
    processes = launch.processes(runtime if isinstance(runtime, RuntimeSettings) else None, machine)
    problems += conflicts(
        student if isinstance(student, StudentSettings) else None,
        sft if isinstance(sft, SftSettings) else None,
        runtime if isinstance(runtime, RuntimeSettings) else None,
        inputs,
        machine,
        processes,
    )
    if isinstance(runtime, RuntimeSettings):
        problems += launch.problems(runtime, machine)
    if isinstance(sft, SftSettings):
        problems += zero.problems(sft, machine, processes)
        problems += mixture.check(sft, inputs) + tokenised.check(sft, config.get("seed"), inputs.get("tokens"))
        problems += validation.problems(sft)
    return problems


def preflight(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Return why the student is not available; [] if it is."""
    return outside.problems(parse(StudentSettings, config.get("student") or {})[0], inputs)


def outlook(
    config: dict[str, Any],
    inputs: Mapping[str, Path | None],
    own: Path | None,  # noqa: ARG001
    earlier: Sequence[Path],  # noqa: ARG001
    upstream: Upstream,
) -> Outlook:
    """Return the FLOPs, GPU-hours and disk space that the training will probably need. `gra plan` shows them.

    The config must be valid.
    """
    return cost_estimate.outlook(TrainSettings.model_validate(config), inputs, upstream)


def kept(folder: Path) -> str:
    """Return a text such as "2 checkpoints, the last at step 40" for a working folder; "" if it has no checkpoints."""
    found = [path for path in folder.rglob(f"{PREFIX}*") if path.is_dir() and path.name.removeprefix(PREFIX).isdigit()]
    steps = max((int(path.name.removeprefix(PREFIX)) for path in found), default=0)
    return f"{len(found)} checkpoint{'s' if len(found) != 1 else ''}, the last at step {steps}" if found else ""


def follower(config: dict[str, Any]) -> bool:
    """Return whether a process on another node is responsible for the output folder.

    If so, this process neither locks nor publishes the folder (see gra.chain.execution.runner).
    """
    runtime, _ = parse(RuntimeSettings, config.get("runtime") or {})
    return runtime is not None and launch.follower(runtime)


def external_files(config: dict[str, Any]) -> dict[str, Path]:
    """Return {"student.model": folder} if `student.model` is a folder, else {}.

    The fingerprint of the training step then depends on the folder's content, not on its name.
    """
    model = (config.get("student") or {}).get("model")
    return {"student.model": Path(model)} if isinstance(model, str) and Path(model).is_dir() else {}


def _inputs(inputs: Mapping[str, Path | None]) -> list[Problem]:
    if "data" not in inputs:
        return [
            Problem(
                "inputs.data", "required, but not given", "set data=DIR, the output folder of gra synthesize or refine"
            )
        ]
    data = inputs["data"]
    if data is not None and data.is_dir() and not path_of(data).is_file():  # the caller reports a missing folder
        return [
            Problem(
                "inputs.data",
                f"there is no file {path_of(data)}",
                "set a data folder, as synthesis writes it: with data/train.parquet",
            )
        ]
    return []


def _student(student: StudentSettings, inputs: Mapping[str, Path | None]) -> list[Problem]:
    if "student" in inputs:
        folder = inputs["student"]
        if folder is not None and not (folder / "model" / "config.json").is_file():
            return [Problem("inputs.student", *model_folder.stage_fault(folder))]
    elif student.model is None:
        return [
            Problem(
                "student.model",
                "no model to fine-tune: student.model and student_folder are null",
                "set student.model=HUB_ID_OR_FOLDER; leave student_folder unset: only experiments use it",
            )
        ]
    elif not (folder := Path(student.model).expanduser()).exists() and _is_path(student.model):
        remedy = command_for(folder) or "correct the path, or set a hub id (owner/name)"
        return [Problem("student.model", f"no such folder: {student.model}", remedy)]
    elif folder.exists() and (fault := model_folder.fault(folder)) is not None:
        return [Problem("student.model", *fault)]
    return []


def _is_path(model: str) -> bool:
    """Return whether `model` is a path. A hub id is NAME or OWNER/NAME; a path starts with one of . / ~ or has several
    slashes."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1
