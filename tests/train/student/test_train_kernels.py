"""Which kernels a run uses, and what its trainer is told about speed."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from gra.train.settings import TrainSettings
from gra.train.student import kernels

Section = dict[str, Any] | None


def settings(config: Any, student: Section = None, runtime: Section = None, **sft: Any) -> TrainSettings:
    raw = config(**sft)
    return TrainSettings.model_validate({**raw, "student": student or {}, "runtime": runtime or {}})


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_auto_attention_says_what_it_takes(config: Any, precision: str, caplog: pytest.LogCaptureFixture) -> None:
    given = settings(config, {"attention": "auto"}, precision=precision)
    with caplog.at_level(logging.INFO):
        found = kernels.attention(given.student, given.sft)
    why = kernels.why_not_flash(given.sft)
    assert found == ("flash_attention_2" if why is None else "sdpa")
    assert found in caplog.text
    assert (why or "") in caplog.text
    assert precision == "bf16" or found == "sdpa"  # it has no float32
    named = settings(config, {"attention": "eager"})
    assert kernels.attention(named.student, named.sft) == "eager"


def test_rows_a_pass(config: Any) -> None:
    """Packed rows of a pass are one sequence: one at a time where its mask would be dense."""
    flash = {"attention": "flash_attention_2"}
    assert (
        kernels.most_rows(settings(config), gpu=False)
        == kernels.most_rows(settings(config, packing=True), gpu=False)
        == 32
    )
    assert kernels.most_rows(settings(config, {"attention": "sdpa"}), gpu=True) == 32
    assert kernels.most_rows(settings(config, {"attention": "sdpa"}, packing=True), gpu=True) == 1
    assert kernels.most_rows(settings(config, flash, packing=True, precision="bf16"), gpu=True) == 32


def test_the_trainer_is_told(config: Any) -> None:
    assert kernels.arguments(settings(config)) == {"use_liger_kernel": False, "torch_compile": False, "tf32": False}
    told = kernels.arguments(settings(config, runtime={"liger": True, "compile": True}, precision="tf32"))
    assert told == {"use_liger_kernel": True, "torch_compile": True, "tf32": True}
    adam = settings(config).sft
    assert [kernels.optimizer(adam, gpu) for gpu in (False, True)] == ["adamw_torch", "adamw_torch_fused"]
    assert kernels.optimizer(settings(config, optimizer="sgd").sft, gpu=True) == "sgd"
