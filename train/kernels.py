"""Which kernels a run uses: what `student.attention=auto` means here, and the trainer's arguments for speed and precision."""

from __future__ import annotations

import importlib.util
import logging
from typing import Any

from train.hardware import FLASH
from train.settings import SftSettings, StudentSettings, TrainSettings

log = logging.getLogger(__name__)
MOST_ROWS = 32  # more sequences a pass are no faster, and more of them is padding


def attention(student: StudentSettings, sft: SftSettings) -> str:
    """The attention kernel's name for transformers. `auto`: FlashAttention-2 where it is installed and can work (bf16, a GPU of
    compute capability 8.0 or more), else PyTorch's SDPA. Says which in the log."""
    name = attention_name(student, sft)
    if student.attention == "auto":
        log.info("attention: %s%s", name, "" if name.startswith("flash") else f" (not flash_attention_2: {why_not_flash(sft)})")
    return name


def attention_name(student: StudentSettings, sft: SftSettings) -> str:
    """As `attention`, without a word."""
    if student.attention != "auto":
        return student.attention
    return "sdpa" if why_not_flash(sft) else "flash_attention_2"


def why_not_flash(sft: SftSettings) -> str | None:
    """What keeps FlashAttention-2 from being used here; None if nothing does."""
    import torch

    if not torch.cuda.is_available():
        return "no GPU"
    if sft.precision != "bf16":
        return f"sft.precision={sft.precision}"
    if importlib.util.find_spec("flash_attn") is None:
        return "flash-attn is not installed"
    return "the GPU is older than Ampere" if torch.cuda.get_device_capability() < FLASH else None


def most_rows(settings: TrainSettings, gpu: bool) -> int:
    """Sequences a forward pass at most, where the recipe leaves it open, whatever the memory. The packed rows of a pass are one
    long sequence; without FlashAttention its mask is dense, and takes memory and time by the square of its length: one row at a
    time, then, on a GPU."""
    flash = attention_name(settings.student, settings.sft).startswith("flash")
    return MOST_ROWS if not gpu or flash or not settings.sft.packing else 1


def optimizer(sft: SftSettings, gpu: bool) -> str:
    """The optimizer's name for the trainer: plain AdamW by torch's fused kernel on a GPU (the same sums, fewer passes)."""
    return "adamw_torch_fused" if gpu and sft.optimizer == "adamw_torch" else sft.optimizer


def arguments(settings: TrainSettings) -> dict[str, Any]:
    """Keyword arguments of the trainer's config. `tf32` is said in any case: left open, torch.compile would switch it on."""
    runtime = settings.runtime
    return {
        "use_liger_kernel": runtime.liger,
        "torch_compile": runtime.compile,
        "tf32": settings.sft.precision == "tf32",
    }
