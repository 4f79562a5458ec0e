"""The stage `train`: data folder + student -> tuned model folder. Command: `python -m train data=DIR student=... output=DIR`.

Inputs: `data` (a folder with data/train.parquet) and, optionally, `student` (a folder with model/, made by train.student).
Without the latter the student is `student.model`, a hub id or a folder. This module is light: `check` loads no model.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gra.errors import ConfigError, Problem
from gra.settings import parse
from train.data import path_of
from train.settings import RuntimeSettings, SftSettings, StudentSettings, TrainSettings

NAME = "train"
VERSION = 1
# Where checkpoints lie changes no weight, so a run may go on under another sft.save_steps; names only show in the model's card.
NOT_HASHED = ("sft.save_steps", "sft.name", "student.name")
FLASH = ("flash_attention_2", "flash_attention_3")


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Train and write model/, log.csv, loss.png, metrics.json into `output`; goes on from a killed run's checkpoints there.

    Returns train_loss (mean over all steps), final_loss, steps, samples, tokens (seen, all epochs) and parameters.
    Raises ConfigError for what `check` finds, TrainError for data or students that cannot be used.
    """
    problems = check(config, dict(inputs))
    if problems:
        raise ConfigError(problems)
    from train.sft import train

    return train(TrainSettings.model_validate(config), inputs, output)


def check(config: dict[str, Any], inputs: Mapping[str, Path | None]) -> list[Problem]:
    """Every fault that shows before a model is loaded. An input that is None is made by an earlier step."""
    sections = [
        parse(StudentSettings, config.get("student") or {}, "student"),
        parse(SftSettings, config.get("sft") or {}, "sft"),
        parse(RuntimeSettings, config.get("runtime") or {}, "runtime"),
    ]
    student, sft, runtime = (settings for settings, _ in sections)
    problems = [problem for _, found in sections for problem in found]
    if not problems:
        problems = parse(TrainSettings, config)[1]
    else:  # faults of the sections are known; here only those of the keys beside them
        problems += [p for p in parse(TrainSettings, config)[1] if p.key.split(".")[0] not in ("student", "sft", "runtime")]
    problems += _inputs(inputs)
    if isinstance(student, StudentSettings):
        problems += _student(student, inputs)
    if isinstance(sft, SftSettings):
        problems += _recipe(sft)
        if isinstance(runtime, RuntimeSettings):
            problems += _batches(sft, runtime)
        if isinstance(student, StudentSettings):
            problems += _together(sft, student, inputs)
    return problems


def external_files(config: dict[str, Any]) -> dict[str, Path]:
    """A student given as a folder counts by its content, not by its name."""
    model = (config.get("student") or {}).get("model")
    return {"student.model": Path(model)} if isinstance(model, str) and Path(model).is_dir() else {}


def _inputs(inputs: Mapping[str, Path | None]) -> list[Problem]:
    if "data" not in inputs:
        return [Problem("inputs.data", "required, but not given", "give the data folder: data=DIR, or an earlier step's output")]
    data = inputs["data"]
    if data is not None and data.is_dir() and not path_of(data).is_file():  # a missing folder is the caller's word
        return [Problem("inputs.data", f"no {path_of(data)}", "give a folder that a synthesis made: it holds data/train.parquet")]
    return []


def _student(student: StudentSettings, inputs: Mapping[str, Path | None]) -> list[Problem]:
    if "student" in inputs:
        folder = inputs["student"]
        if folder is not None and not (folder / "model" / "config.json").is_file():
            return [Problem("inputs.student", f"no model/config.json in {folder}", "give a folder that the stage `student` made")]
    elif student.model is None:
        return [
            Problem(
                "student.model",
                "no student: neither student.model nor a student folder as input",
                "set student.model=HUB_ID_OR_FOLDER, or make one first (stage `student`) and give it as input `student`",
            )
        ]
    elif not Path(student.model).expanduser().is_dir() and _is_path(student.model):
        return [Problem("student.model", f"no such folder: {student.model}", "correct the path, or give a hub id (owner/name)")]
    found = []
    if (
        student.attention in FLASH
        and importlib.util.find_spec("flash_attn" if student.attention == FLASH[0] else "flash_attn_interface") is None
    ):
        found.append(Problem("student.attention", f"{student.attention} is not installed", "use student.attention=auto (or sdpa)"))
    return found


def _recipe(sft: SftSettings) -> list[Problem]:
    found = []
    if sft.lora is not None and sft.method != "lora":
        found.append(
            Problem("sft.lora", f"LoRA options are set, but sft.method={sft.method}", "set sft.method=lora, or sft.lora=null")
        )
    if sft.save_steps % sft.log_steps:
        near = _near_multiples(sft.save_steps, sft.log_steps)
        found.append(
            Problem(
                "sft.save_steps",
                f"{sft.save_steps} is not a multiple of sft.log_steps={sft.log_steps}: a resumed run's log "
                "would not be the unbroken one's",
                f"nearest: {near}",
            )
        )
    torch = sys.modules.get("torch")  # looked at only where it is loaded anyway; else train() asks again
    if torch is not None and sft.precision == "bf16" and torch.cuda.is_available() and not torch.cuda.is_bf16_supported():
        found.append(Problem("sft.precision", "this GPU has no bfloat16", "set sft.precision=fp32"))
    return found


def _batches(sft: SftSettings, runtime: RuntimeSettings) -> list[Problem]:
    world = world_size()
    if runtime.per_device_batch is None:
        if sft.global_batch % world == 0:
            return []
        return [
            Problem(
                "sft.global_batch",
                f"{sft.global_batch} does not divide by {world} processes",
                f"nearest: {_near_multiples(sft.global_batch, world)}",
            )
        ]
    step = runtime.per_device_batch * world
    if sft.global_batch % step == 0:
        return []
    message = f"{sft.global_batch} is not a multiple of runtime.per_device_batch={runtime.per_device_batch} x {world} process(es)"
    remedy = f"nearest: sft.global_batch={_near_multiples(sft.global_batch, step)}"
    if sft.global_batch % world == 0:
        fitting = [n for n in range(1, sft.global_batch // world + 1) if (sft.global_batch // world) % n == 0]
        close = sorted(sorted(fitting, key=lambda n: abs(n - step // world))[:2])
        remedy += f", or runtime.per_device_batch={' or '.join(map(str, close))}"
    return [Problem("sft.global_batch", message, remedy)]


def _together(sft: SftSettings, student: StudentSettings, inputs: Mapping[str, Path | None]) -> list[Problem]:
    found = []
    if student.attention in FLASH and sft.precision == "fp32":
        found.append(
            Problem(
                "student.attention",
                f"{student.attention} works in half precision only, but sft.precision=fp32",
                "set sft.precision=bf16, or student.attention=sdpa",
            )
        )
    if sft.method == "full" and student.dtype == "bfloat16" and sft.precision == "fp32":
        found.append(
            Problem(
                "student.dtype",
                "bfloat16 weights cannot be trained with sft.precision=fp32",
                "set student.dtype=float32, or sft.precision=bf16",
            )
        )
    positions, source = _positions(student, inputs)
    if positions is not None and sft.cutoff_length > positions:
        found.append(
            Problem(
                "sft.cutoff_length",
                f"{sft.cutoff_length} is above the {positions} positions of the student ({source})",
                f"set sft.cutoff_length={positions} or less",
            )
        )
    return found


def _positions(student: StudentSettings, inputs: Mapping[str, Path | None]) -> tuple[int | None, str]:
    """The longest sequence the student knows, where that can be told without loading it, and where it was read."""
    folder: Path | None = None
    if inputs.get("student") is not None:
        folder = Path(str(inputs["student"])) / "model"
    elif "student" not in inputs and student.model is not None:
        folder = Path(student.model).expanduser()
    if folder is not None:
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            return None, ""
        value = config.get("max_position_embeddings") if isinstance(config, dict) else None
        return (value, str(folder / "config.json")) if isinstance(value, int) else (None, "")
    if "student" in inputs and student.model is None and student.build is not None:
        return student.build.positions, "student.build.positions"
    return None, ""


def world_size() -> int:
    """Processes that train together (torchrun's and Slurm launchers' WORLD_SIZE; 1 without one)."""
    text = os.environ.get("WORLD_SIZE", "1")
    return int(text) if text.isdigit() and int(text) > 0 else 1


def _near_multiples(value: int, step: int) -> str:
    below = value // step * step
    return f"{below} or {below + step}" if below else str(step)


def _is_path(model: str) -> bool:
    """A hub id is NAME or OWNER/NAME; whatever starts like a path or has more slashes is meant as a folder."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1
