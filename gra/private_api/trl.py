"""Private names of trl, read from 1.16.0: the counts that its trainer does not save in a checkpoint, and a switch. With
the switch on, the trainer computes the output layer only at the positions that count in the loss; TRL turns it on only
on GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gra.private_api import found, moved

READ_FROM = "trl 1.16.0"
NAMES = (
    "trl.trainer.utils._use_triton",
    "trl.SFTTrainer:_total_train_tokens",
    "trl.SFTTrainer:_metrics",
)


@contextmanager
def trained_positions_only() -> Iterator[None]:
    """Inside the `with` block, compute the output layer only for tokens that count in the loss, on a CPU too.

    TRL does this only on GPUs, because it would cause recompilation on other accelerators. The loss is the same, and a
    step of a small model takes a fifth less time.
    """
    utils, original = found("trl.trainer.utils", READ_FROM), found("trl.trainer.utils._use_triton", READ_FROM)
    utils._use_triton = lambda device: device.type == "cpu" or original(device)
    try:
        yield
    finally:
        utils._use_triton = original


def tokens_seen(trainer: Any) -> int:
    """Return the number of tokens that the trainer has seen since its first step."""
    _need(trainer, "_total_train_tokens")
    return int(trainer._total_train_tokens)


def set_tokens_seen(trainer: Any, tokens: int) -> None:
    """Restore what `tokens_seen` returned."""
    _need(trainer, "_total_train_tokens")
    trainer._total_train_tokens = tokens


def unlogged_metrics(trainer: Any) -> dict[str, list[float]]:
    """Return the training metrics since the last row of the log, by name. The dict is the trainer's own: changes to it change
    the trainer's metrics."""
    _need(trainer, "_metrics")
    metrics: dict[str, list[float]] = trainer._metrics["train"]
    return metrics


def _need(trainer: Any, name: str) -> None:
    if not hasattr(trainer, name):
        raise moved(f"trl.SFTTrainer:{name}", READ_FROM)
