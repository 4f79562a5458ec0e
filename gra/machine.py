"""Says which machine a config is checked for: this one, or one that a batch job requests.

A login node has no GPU and may lack a compiler or a server's command. There, `requested(gpus=4)` compares a config with the
request; what else the machine must have is checked by the job itself, where the stage runs the same check before it loads anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_gpus: ContextVar[int | None] = ContextVar("gpus", default=None)


def requested_gpus() -> int | None:
    """How many GPUs the machine will have that the check is for; None: it is for this machine."""
    return _gpus.get()


@contextmanager
def requested(gpus: int) -> Iterator[None]:
    """Inside this context, checks are for a machine that has `gpus` GPUs and all programs and packages."""
    before = _gpus.set(gpus)
    try:
        yield
    finally:
        _gpus.reset(before)
