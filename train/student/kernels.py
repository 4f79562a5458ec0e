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
    """Return the name that transformers uses for the attention kernel of this run.

    `student.attention=auto` means FlashAttention-2 where it is installed and supported, and PyTorch's SDPA elsewhere.
    FlashAttention-2 needs bf16 and a GPU of compute capability 8.0 or more. With `auto`, this function logs which of
    the two is used.
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
    """Return the upper limit on the number of rows in a forward pass, however much memory is free.

    It applies only if `runtime.per_device_batch` is null. The number of rows is then chosen to fit the free memory, up
    to this limit.

    With packing, all rows of a forward pass are joined into one long sequence. Without FlashAttention, the attention
    mask of that sequence is dense, so its memory and time grow with the square of the length. Therefore the limit is 1
    for packed rows on a GPU without FlashAttention. In all other cases it is MOST_ROWS.
    """
    flash = attention_name(settings.student, settings.sft).startswith("flash")
    return MOST_ROWS if not gpu or flash or not settings.sft.packing else 1


def optimizer(sft: SftSettings, gpu: bool) -> str:
    """Return the optimizer's name for transformers' trainer.

    It is `sft.optimizer`, with one exception: on a GPU, plain AdamW is replaced by torch's fused AdamW, which
    computes the same update with fewer passes over the weights.
    """
    return "adamw_torch_fused" if gpu and sft.optimizer == "adamw_torch" else sft.optimizer


def arguments(settings: TrainSettings) -> dict[str, Any]:
    """Return the keyword arguments for the trainer's config that set speed and precision.

    `tf32` is set explicitly even if it is False, because torch.compile would otherwise switch TF32 on.
    """
    runtime = settings.runtime
    return {
        "use_liger_kernel": runtime.liger,
        "torch_compile": runtime.compile,
        "tf32": settings.sft.precision == "tf32",
    }
