"""Chooses the kernels of a run: resolves `student.attention=auto` and sets the trainer's arguments for speed and precision."""

from __future__ import annotations

import importlib.util
import logging
from typing import Any

from gra.train.distributed.hardware import FLASH
from gra.train.settings import SftSettings, StudentSettings, TrainSettings

log = logging.getLogger(__name__)
MOST_ROWS = 32  # most sequences per pass: more are not faster and add padding


def attention(student: StudentSettings, sft: SftSettings) -> str:
    """Return the name by which transformers knows the attention kernel, and log the choice.

    `student.attention=auto` becomes FlashAttention-2 if it is installed and supported (bf16, a GPU of compute
    capability 8.0 or more), else PyTorch's SDPA.
    """
    name = attention_name(student, sft)
    if student.attention == "auto":
        log.info(
            "attention: %s%s",
            name,
            "" if name.startswith("flash") else f" (not flash_attention_2: {why_not_flash(sft)})",
        )
    return name


def attention_name(student: StudentSettings, sft: SftSettings) -> str:
    """Return the same name as the function `attention`, without logging."""
    if student.attention != "auto":
        return student.attention
    return "sdpa" if why_not_flash(sft) else "flash_attention_2"


def why_not_flash(sft: SftSettings) -> str | None:
    """Return why FlashAttention-2 cannot be used here; None if it can."""
    import torch

    if not torch.cuda.is_available():
        return "no GPU"
    if sft.precision != "bf16":
        return f"sft.precision={sft.precision}"
    if importlib.util.find_spec("flash_attn") is None:
        return "flash-attn is not installed"
    return "the GPU is older than Ampere" if torch.cuda.get_device_capability() < FLASH else None


def most_rows(settings: TrainSettings, gpu: bool) -> int:
    """Return the most sequences per forward pass, regardless of the free memory. This limit is used only if
    `runtime.per_device_batch` is null.

    The packed rows of a pass form one long sequence. Without FlashAttention, the attention mask of that sequence is
    dense: its memory and time grow with the square of the length. Therefore a GPU without FlashAttention gets one
    packed row at a time.
    """
    flash = attention_name(settings.student, settings.sft).startswith("flash")
    return MOST_ROWS if not gpu or flash or not settings.sft.packing else 1


def optimizer(sft: SftSettings, gpu: bool) -> str:
    """Return the name of the recipe's optimizer for the trainer.

    On a GPU, plain AdamW uses torch's fused kernel (the same sums in fewer passes).
    """
    return "adamw_torch_fused" if gpu and sft.optimizer == "adamw_torch" else sft.optimizer


def arguments(settings: TrainSettings) -> dict[str, Any]:
    """Return the keyword arguments for the trainer's config that set speed and precision.

    `tf32` is always set, because torch.compile would otherwise switch it on.
    """
    runtime = settings.runtime
    return {
        "use_liger_kernel": runtime.liger,
        "torch_compile": runtime.compile,
        "tf32": settings.sft.precision == "tf32",
    }
