"""Turns out-of-memory errors during loading or training into a TrainError that names the keys to change."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gra.errors import TrainError
from gra.train.settings import TrainSettings

# PyTorch's messages in a plain RuntimeError: from its CPU allocator and from accelerators' libraries.
WORDS = (
    "defaultcpuallocator: can't allocate memory",
    "defaultcpuallocator: not enough memory",
    "out of memory",
    "cannot allocate memory",
    "std::bad_alloc",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)


def ran_out(error: BaseException) -> bool:
    """Return whether `error` means that memory ran out, on a GPU or in main memory."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in WORDS)


@dataclass
class Pass:
    """What is known about a forward pass. `rows`: its number of sequences; None if it is not known yet.
    `checkpointing`: whether activations are recomputed."""

    rows: int | None = None
    checkpointing: bool = False


@contextmanager
def explained(settings: TrainSettings) -> Iterator[Pass]:
    """While the context lasts, turn out-of-memory errors into a TrainError that names the keys to change. The function
    `ran_out` recognises such errors.

    The context yields a Pass. The caller fills in its values as soon as they are known, and the error's remedy uses
    them.
    """
    at = Pass()
    try:
        yield at
    except (RuntimeError, MemoryError, OSError) as error:  # torch's OutOfMemoryError is a RuntimeError
        if not ran_out(error):
            raise
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise TrainError(f"out of memory ({reason[:200]})\n    -> {remedy(settings, at)}") from error


def remedy(settings: TrainSettings, at: Pass) -> str:
    """Return a text that says which keys to change so that the training needs less memory. Keys that do not change the
    result come first."""
    sft, rows = settings.sft, at.rows
    same = [f"runtime.per_device_batch={rows // 2}"] if rows is not None and rows > 1 else []
    same += [] if at.checkpointing else ["runtime.activation_checkpointing=true"]
    same += [] if sft.sharding == "zero3" else ["sft.sharding=zero3 on several GPUs"]
    other = [f"a smaller sft.cutoff_length (now {sft.cutoff_length})"]
    other += ["sft=lora"] if sft.method == "full" else ["sft.method=qlora on a GPU"] if sft.method == "lora" else []
    other += ["a smaller student"]
    place = "" if rows is None else f" (now {rows} sequence{'s' if rows > 1 else ''} per pass)"
    first = f"set {' or '.join(same)}, which does not change the result{place}; or try " if same else "try "
    return first + ", ".join(other)
