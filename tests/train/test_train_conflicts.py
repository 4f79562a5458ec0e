"""Options in conflict: each one is told by its key before anything is loaded, several at once, without importing torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gra.errors import TrainError
from gra.train import conflicts, stage
from gra.train.distributed import hardware
from gra.train.distributed.hardware import Gpu, Machine
from gra.train.settings import RuntimeSettings, SftSettings, StudentSettings

NONE = Machine()
HOPPER = Machine((Gpu("NVIDIA H100 80GB HBM3", (9, 0)),), frozenset(hardware.PACKAGES))
VOLTA = Machine((Gpu("Tesla V100-SXM2-16GB", (7, 0)),), frozenset(hardware.PACKAGES))
BARE_HOPPER = Machine(HOPPER.gpus, frozenset({"triton"}))
GOOD = {"learning_rate": 1e-4, "global_batch": 8, "cutoff_length": 64}


def found(
    machine: Machine = HOPPER,
    sft: dict[str, Any] | None = None,
    student: dict[str, Any] | None = None,
    runtime: dict[str, Any] | None = None,
    inputs: dict[str, Path | None] | None = None,
    world: int = 1,
) -> dict[str, str]:
    """Key -> message and remedy of every conflict."""
    problems = conflicts.conflicts(
        StudentSettings.model_validate({"model": "owner/name", **(student or {})}),
        SftSettings.model_validate({**GOOD, **(sft or {})}),
        RuntimeSettings.model_validate(runtime or {}),
        {"data": None} if inputs is None else inputs,
        machine,
        world,
    )
    assert len({p.key for p in problems}) == len(problems) or machine is NONE
    return {p.key: f"{p.message} -> {p.remedy}" for p in problems}


QLORA = {"method": "qlora"}
FLASH = {"attention": "flash_attention_2"}
CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "qlora, no gpu": ({"machine": NONE, "sft": QLORA}, "sft.method", "GPU .* and the package bitsandbytes"),
    "qlora, no bitsandbytes": ({"machine": BARE_HOPPER, "sft": QLORA}, "sft.method", "needs the package bitsandbytes"),
    "qlora and zero3": ({"sft": QLORA | {"sharding": "zero3"}}, "sft.sharding", "zero2 or null"),
    "qlora and fp32": ({"sft": QLORA | {"precision": "fp32"}}, "sft.precision", "computes in bfloat16"),
    "qlora and float32 weights": ({"sft": QLORA, "student": {"dtype": "float32"}}, "student.dtype", "4 bits"),
    "qlora trains a 4-bit module": (
        {"sft": QLORA | {"lora": {"modules_to_save": ["q_proj", "lm_head", "norm"]}}},
        "sft.lora.modules_to_save",
        "^q_proj: stored in 4",
    ),
    "8-bit optimizer, no bitsandbytes": (
        {"machine": BARE_HOPPER, "sft": {"optimizer": "paged_adamw_8bit"}},
        "sft.optimizer",
        "bitsandbytes",
    ),
    "lora options under full": ({"sft": {"lora": {"rank": 4}}}, "sft.lora", "sft.method=lora"),
    "an adapter on lm_head": (
        {"sft": {"method": "lora", "lora": {"target_modules": ["q_proj", "lm_head"]}}},
        "sft.lora.target_modules",
        "untrained",
    ),
    "bf16 on an old gpu": ({"machine": VOLTA}, "sft.precision", "V100.* has no bfloat16"),
    "tf32 on an old gpu": ({"machine": VOLTA, "sft": {"precision": "tf32"}}, "sft.precision", "Ampere"),
    "tf32 on a cpu": ({"machine": NONE, "sft": {"precision": "tf32"}}, "sft.precision", "Ampere"),
    "flash and fp32": ({"sft": {"precision": "fp32"}, "student": FLASH}, "student.attention", "half precision"),
    "flash, not installed": ({"machine": BARE_HOPPER, "student": FLASH}, "student.attention", "not installed"),
    "bf16 weights, fp32": (
        {"sft": {"precision": "fp32"}, "student": {"dtype": "bfloat16"}},
        "student.dtype",
        "cannot be trained",
    ),
    "liger, not installed": (
        {"machine": BARE_HOPPER, "runtime": {"liger": True}},
        "runtime.liger",
        "needs the package liger",
    ),
    "liger, no gpu": ({"machine": NONE, "runtime": {"liger": True}}, "runtime.liger", "GPU"),
    "compile, no triton": (
        {"machine": Machine(HOPPER.gpus), "runtime": {"compile": True}},
        "runtime.compile",
        "triton",
    ),
    "compile, no compiler": (
        {"machine": Machine(compiler=False), "runtime": {"compile": True}},
        "runtime.compile",
        "g\\+\\+",
    ),
    "batches": ({"runtime": {"per_device_batch": 3}}, "sft.global_batch", "6 or 9"),
    "processes": ({"world": 3}, "sft.global_batch", "6 or 9"),
    "log and save steps": ({"sft": {"log_steps": 3, "save_steps": 10}}, "sft.save_steps", "9 or 12"),
    "warm-up that is not used": (
        {"sft": {"schedule": "constant", "warmup_ratio": 0.1}},
        "sft.warmup_ratio",
        "constant_with",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_conflict_is_told_by_its_key(name: str) -> None:
    import re

    given, key, words = CASES[name]
    told = found(**given)
    assert set(told) == {key}
    assert re.search(words, told[key]), told[key]


GOOD_CASES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "cpu": {"machine": NONE},
    "qlora": {"sft": QLORA | {"optimizer": "paged_adamw_8bit", "sharding": "zero2"}},
    "lora and zero3": {"sft": {"method": "lora", "sharding": "zero3"}},
    "flash": {"student": FLASH},
    "kernels": {"runtime": {"liger": True, "compile": True}},
    "compile on a cpu": {"machine": NONE, "runtime": {"compile": True}},
    "fp32 on an old gpu": {"machine": VOLTA, "sft": {"precision": "fp32"}},
    "tf32": {"sft": {"precision": "tf32"}},
    "constant": {"sft": {"schedule": "constant"}},
    "heads trained whole": {"sft": {"method": "lora", "lora": {"modules_to_save": ["lm_head"]}}},
}


@pytest.mark.parametrize("name", GOOD_CASES)
def test_what_goes_together_is_let_through(name: str) -> None:
    assert found(**GOOD_CASES[name]) == {}


def folder(place: Path, name: str, **columns: list[Any]) -> Path:
    (place / name / "data").mkdir(parents=True)
    pq.write_table(pa.table(columns), place / name / "data" / "train.parquet")
    return place / name


def test_data_without_samples_or_talks(tmp_path: Path) -> None:
    empty = folder(tmp_path, "empty", messages=[])
    other = folder(tmp_path, "other", text=["a"])
    torn = folder(tmp_path, "torn", messages=["a"])
    (torn / "data" / "train.parquet").write_bytes(b"PAR1")
    told = found(inputs={"data": empty, "data_other": other, "data_torn": torn, "data_later": None})
    words = {
        "inputs.data": "has no samples",
        "inputs.data_other": "no column `messages`",
        "inputs.data_torn": "as parquet",
    }
    assert set(told) == set(words)
    assert all(word in told[key] for key, word in words.items()), told


@pytest.mark.parametrize(("kind", "leaks"), [("mamba", True), ("opt", True), ("llama", False)])
def test_packing_with_a_student_that_leaks(kind: str, leaks: bool, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, "max_position_embeddings": 32}))
    told = found(sft={"packing": True}, student={"model": str(tmp_path)})
    assert set(told) == ({"sft.packing"} if leaks else set()) | {"sft.cutoff_length"}
    assert set(found(sft={"cutoff_length": 32}, student={"model": str(tmp_path)})) == set()


@pytest.mark.parametrize("kind", ["mamba", "opt", "llama", "qwen2"])
def test_which_models_leak_is_proved(kind: str) -> None:
    """The list of model types against the proof that a loaded model goes through."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from gra.train.student import load

    shape = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": 96,
        "intermediate_size": 64,
    }
    heads = {"num_key_value_heads": 4}
    extra = {"opt": {"ffn_dim": 64, "word_embed_proj_dim": 32}, "llama": heads, "qwen2": heads}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        student = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **shape, **extra.get(kind, {})))
    if kind in conflicts.LEAKY:
        with pytest.raises(TrainError, match="attend to each other"):
            load.refuse_leak(student)
    else:
        load.refuse_leak(student)


def test_many_at_once_and_without_torch(tmp_path: Path) -> None:
    """The whole stage's check, in a process that has not loaded torch: all told, and torch still not loaded."""
    empty = folder(tmp_path, "empty", messages=[])
    (tmp_path / "student" / "model").mkdir(parents=True)
    (tmp_path / "student" / "model" / "config.json").write_text('{"max_position_embeddings": 128}')
    config = {
        "seed": 0,
        "student": {"attention": "flash_attention_2", "dtype": "float32"},
        "sft": {
            **GOOD,
            "method": "qlora",
            "precision": "fp32",
            "cutoff_length": 4096,
            "packing": True,
            "sharding": "zero3",
            "schedule": "constant",
            "warmup_ratio": 0.1,
            "lora": {"target_modules": ["lm_head"], "modules_to_save": ["o_proj"]},
        },
        "runtime": {"per_device_batch": 3, "liger": True},
    }
    code = f"""
import json, pathlib, sys
from gra.train import stage
from gra.train.distributed import hardware
hardware.here = lambda: hardware.Machine()
inputs = {{"data": pathlib.Path({str(empty)!r}), "student": pathlib.Path({str(tmp_path / "student")!r})}}
problems = stage.check(json.loads({json.dumps(config)!r}), inputs)
print(json.dumps([[p.key for p in problems], [m for m in ("torch", "transformers", "trl", "datasets") if m in sys.modules]]))
"""
    told, loaded = json.loads(subprocess.check_output([sys.executable, "-c", code], text=True))
    assert sorted(told) == sorted(
        [
            "inputs.data",
            "student.attention",
            "student.attention",
            "student.dtype",
            "sft.method",
            "sft.precision",
            "sft.cutoff_length",
            "sft.sharding",
            "sft.warmup_ratio",
            "sft.lora.target_modules",
            "sft.lora.modules_to_save",
            "sft.global_batch",
            "runtime.liger",
        ]
    )
    assert loaded == []


def test_speed_is_no_part_of_the_fingerprint(config: Any) -> None:
    from gra.chain.store.fingerprint import fingerprint, identity

    def mark(made: dict[str, Any]) -> str:
        return fingerprint(identity("train", 1, made, {}, {}, stage.NOT_HASHED))

    fast = config()
    fast["runtime"] |= {"liger": True, "compile": True, "peak_tflops": 1.0, "activation_checkpointing": True}
    assert mark(fast) == mark(config())
    assert mark(config(precision="tf32")) != mark(config(precision="fp32"))  # other sums: another result


def test_gpus_of_this_process() -> None:
    gpus = hardware.parse("9.0, NVIDIA H100 80GB HBM3\n7.0, Tesla V100-SXM2-16GB\n[N/A], Odd One\n")
    assert gpus == [Gpu("NVIDIA H100 80GB HBM3", (9, 0)), Gpu("Tesla V100-SXM2-16GB", (7, 0)), Gpu("Odd One")]
    assert hardware.chosen(gpus, None) == gpus
    assert hardware.chosen(gpus, "") == hardware.chosen(gpus, "-1") == []
    assert [g.name for g in hardware.chosen(gpus, "1,0")] == ["Tesla V100-SXM2-16GB", "NVIDIA H100 80GB HBM3"]
    assert len(hardware.chosen(gpus, "0,7,1")) == 1  # as CUDA: what is after an invalid one does not count
    assert len(hardware.chosen(gpus, "GPU-8932f937,GPU-4cf8db2d")) == 2
    assert gpus[1].below(hardware.BF16)
    assert not gpus[0].below(hardware.BF16)
    assert not gpus[2].below(hardware.BF16)
