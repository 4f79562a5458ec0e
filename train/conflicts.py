"""Finds options that conflict with one another or with this machine.

They are found from the config, the data's parquet footer, the student's config.json and `distributed/hardware.py`,
without loading torch or a model. `train.stage.check` reports all conflicts at once. Two faults are found later, because
they need a loaded model or the data: packed documents that see each other (`student.load.refuse_leak`), and samples
without a trained token (`data/selection.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gra.errors import Problem
from gra.train.data.rows import path_of
from gra.train.distributed import batches
from gra.train.distributed.hardware import BF16, FLASH, TF32, Machine
from gra.train.settings import LoraSettings, RuntimeSettings, SftSettings, StudentSettings
from gra.train.student import new_tokens

FLASH_PACKAGE = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface"}
EIGHT_BIT = ("adamw_8bit", "paged_adamw_8bit")
TRAINABLE_UNDER_QLORA = ("embed_tokens", "lm_head")  # 4-bit loading leaves these modules and norms in bfloat16
# Model types in which, with every attention kernel, a document of a packed row sees the previous document: a recurrent
# state continues, or the given positions are ignored. Found with `student.load.refuse_leak` on a small random model of
# each type (transformers 5.23).
LEAKY = (
    "bert",
    "biogpt",
    "bloom",
    "falcon_h1",
    "falcon_mamba",
    "jamba",
    "mamba",
    "mamba2",
    "minimax",
    "mpt",
    "nemotron_h",
    "openai-gpt",
    "opt",
    "recurrent_gemma",
    "rwkv",
    "xglm",
    "xlstm",
)


def conflicts(
    student: StudentSettings | None,
    sft: SftSettings | None,
    runtime: RuntimeSettings | None,
    inputs: Mapping[str, Path | None],
    machine: Machine,
    world: int,
) -> list[Problem]:
    """Return the conflicts between settings, and the conflicts of settings with a training by `world` processes on
    `machine`. Pass None for a section of the settings that is invalid. The conflicts of this section are then not
    checked."""
    found = _data(inputs)
    if sft is not None:
        found += _schedule(sft) + _precision(sft, machine) + _adapters(sft) + _eight_bit(sft, machine)
    if runtime is not None:
        found += _kernels(runtime, machine)
    if student is not None:
        found += _flash(student, machine)
    if sft is not None and runtime is not None:
        found += batches.problems(sft, runtime, world)
    if sft is not None and student is not None:
        found += _weights(sft, student) + _lengths(sft, student, inputs) + _packing(sft, student, inputs)
        config, source = _config(student, inputs)
        found += new_tokens.problems(sft, student, inputs, config.get("model_type"), source)
    return found


def _data(inputs: Mapping[str, Path | None]) -> list[Problem]:
    """Return the faults of data folders that cannot be read or have no samples or no conversations. Only parquet
    footers are read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = []
    for name, folder in inputs.items():
        if folder is None or not path_of(folder).is_file():
            continue
        path, key = path_of(folder), f"inputs.{name}"
        try:
            schema, rows = pq.read_schema(path), pq.read_metadata(path).num_rows
        except (OSError, pa.ArrowInvalid) as error:
            reason = str(error).splitlines()[0]
            found.append(Problem(key, f"{path}: cannot be read as parquet ({reason})", "create the data folder again"))
            continue
        if "messages" not in schema.names:
            remedy = "add a column `messages` with a list of {role, content} per row"
            found.append(Problem(key, f"{path}: no column `messages`", remedy))
        if rows == 0:
            remedy = "see stats.json and rejected.parquet in the data folder for the reasons"
            found.append(Problem(key, f"{path}: has no samples", remedy))
    return found


def _schedule(sft: SftSettings) -> list[Problem]:
    found = []
    if sft.save_steps % sft.log_steps:
        found.append(
            Problem(
                "sft.save_steps",
                f"{sft.save_steps} is not a multiple of sft.log_steps={sft.log_steps}: the log of a resumed run "
                "would differ from that of an uninterrupted one",
                f"nearest: {batches.near_multiples(sft.save_steps, sft.log_steps)}",
            )
        )
    if sft.schedule == "constant" and sft.warmup_ratio:
        found.append(
            Problem(
                "sft.warmup_ratio",
                f"{sft.warmup_ratio:g}, but sft.schedule=constant has no warm-up",
                "set sft.schedule=constant_with_warmup, or sft.warmup_ratio=0",
            )
        )
    return found


def _precision(sft: SftSettings, machine: Machine) -> list[Problem]:
    if sft.precision == "tf32" and (not machine.gpus or machine.gpus[0].below(TF32)):
        return [Problem("sft.precision", "tf32 needs an Ampere or newer NVIDIA GPU", "set sft.precision=fp32, or bf16")]
    if sft.precision == "bf16" and machine.gpus and machine.gpus[0].below(BF16):
        return [
            Problem("sft.precision", f"this GPU ({machine.gpus[0].name}) has no bfloat16", "set sft.precision=fp32")
        ]
    return []


def _adapters(sft: SftSettings) -> list[Problem]:
    found = []
    if sft.lora is not None and sft.method == "full":
        found.append(
            Problem("sft.lora", "LoRA options are set, but sft.method=full", "set sft.method=lora, or sft.lora=null")
        )
    lora = sft.lora or LoraSettings()
    if "lm_head" in ([lora.target_modules] if isinstance(lora.target_modules, str) else lora.target_modules):
        found.append(
            Problem(
                "sft.lora.target_modules",
                "lm_head cannot have an adapter: the loss uses its weight directly, so the adapter would stay untrained",
                "remove it; sft.lora.modules_to_save=[lm_head] trains all of it",
            )
        )
    if sft.method == "qlora" and sft.sharding == "zero3":
        message = (
            "zero3 cannot shard the 4-bit weights of sft.method=qlora: the shards could be neither gathered nor merged"
        )
        found.append(Problem("sft.sharding", message, "set sft.sharding=zero2 or null, or sft.method=lora"))
    frozen = [m for m in lora.modules_to_save if m not in TRAINABLE_UNDER_QLORA and not m.endswith("norm")]
    if sft.method == "qlora" and frozen:
        found.append(
            Problem(
                "sft.lora.modules_to_save",
                f"{', '.join(frozen)}: stored in 4 bits under sft.method=qlora, which cannot be trained",
                f"keep only {' and '.join(TRAINABLE_UNDER_QLORA)}, or set sft.method=lora",
            )
        )
    return found


def _eight_bit(sft: SftSettings, machine: Machine) -> list[Problem]:
    """Return the requirements of bitsandbytes' 4-bit weights and 8-bit optimizers that this machine or recipe does not
    meet."""
    found = []
    missing = [] if machine.gpus else ["a CUDA GPU (none is visible to this torch)"]
    missing += [] if "bitsandbytes" in machine.packages else ["the package bitsandbytes (pip install bitsandbytes)"]
    if sft.method == "qlora" and missing:
        found.append(
            Problem("sft.method", f"qlora needs {' and '.join(missing)}", "install it, run on a GPU, or set sft=lora")
        )
    if sft.optimizer in EIGHT_BIT and missing:
        found.append(
            Problem("sft.optimizer", f"{sft.optimizer} needs {' and '.join(missing)}", "set sft.optimizer=adamw_torch")
        )
    if sft.method == "qlora" and sft.precision != "bf16":
        found.append(
            Problem("sft.precision", f"qlora computes in bfloat16, not in {sft.precision}", "set sft.precision=bf16")
        )
    return found


def _kernels(runtime: RuntimeSettings, machine: Machine) -> list[Problem]:
    found = []
    if runtime.liger:
        missing = [] if machine.gpus else ["a GPU (none is visible to this torch)"]
        missing += [] if "liger_kernel" in machine.packages else ["the package liger-kernel (pip install liger-kernel)"]
        if missing:
            found.append(Problem("runtime.liger", f"needs {' and '.join(missing)}", "set runtime.liger=false"))
    if runtime.compile:
        if machine.gpus and "triton" not in machine.packages:
            found.append(
                Problem("runtime.compile", "needs triton on a GPU", "install it, or set runtime.compile=false")
            )
        if not machine.compiler:
            found.append(
                Problem("runtime.compile", "needs a C++ compiler (g++)", "install one, or set runtime.compile=false")
            )
    return found


def _flash(student: StudentSettings, machine: Machine) -> list[Problem]:
    package = FLASH_PACKAGE.get(student.attention)
    if package is None:
        return []
    remedy = "use student.attention=auto (or sdpa)"
    if package not in machine.packages:
        return [Problem("student.attention", f"{student.attention} is not installed", remedy)]
    if not machine.gpus or machine.gpus[0].below(FLASH):
        return [Problem("student.attention", f"{student.attention} needs an Ampere or newer GPU", remedy)]
    return []


def _weights(sft: SftSettings, student: StudentSettings) -> list[Problem]:
    found = []
    if student.attention in FLASH_PACKAGE and sft.precision != "bf16":
        found.append(
            Problem(
                "student.attention",
                f"{student.attention} needs half precision, but sft.precision={sft.precision}",
                "set sft.precision=bf16, or student.attention=sdpa",
            )
        )
    if sft.method == "full" and student.dtype == "bfloat16" and sft.precision != "bf16":
        found.append(
            Problem(
                "student.dtype",
                f"bfloat16 weights cannot be trained with sft.precision={sft.precision}",
                "set student.dtype=float32, or sft.precision=bf16",
            )
        )
    if sft.method == "qlora" and student.dtype == "float32":
        message = "float32, but sft.method=qlora keeps the weights in 4 bits and the rest in bfloat16"
        found.append(Problem("student.dtype", message, "set student.dtype=null, or sft.method=lora"))
    return found


def _lengths(sft: SftSettings, student: StudentSettings, inputs: Mapping[str, Path | None]) -> list[Problem]:
    config, source = _config(student, inputs)
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or sft.cutoff_length <= positions:
        return []
    return [
        Problem(
            "sft.cutoff_length",
            f"{sft.cutoff_length} is above the {positions} positions of the student ({source})",
            f"set sft.cutoff_length={positions} or less",
        )
    ]


def _packing(sft: SftSettings, student: StudentSettings, inputs: Mapping[str, Path | None]) -> list[Problem]:
    config, source = _config(student, inputs)
    kind = config.get("model_type")
    if not sft.packing or kind not in LEAKY:
        return []
    message = f"true, but in a {kind} student ({source}) packed samples attend to each other"
    return [Problem("sft.packing", message, "set sft.packing=false")]


def _config(student: StudentSettings, inputs: Mapping[str, Path | None]) -> tuple[dict[str, Any], str]:
    """Return the student's config.json, as far as it is available without the network, and the place where it was found."""
    folder: Path | None = None
    if inputs.get("student") is not None:
        folder = Path(str(inputs["student"])) / "model"
    elif "student" not in inputs and student.model is not None:
        folder = Path(student.model).expanduser()
    if folder is not None:
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            return {}, ""
        return (config, str(folder / "config.json")) if isinstance(config, dict) else ({}, "")
    if "student" in inputs and student.model is None and student.build is not None:
        return {"max_position_embeddings": student.build.positions, "model_type": "llama"}, "student.build.positions"
    return {}, ""
