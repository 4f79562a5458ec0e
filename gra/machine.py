"""Records the machine for which configs are checked: this machine, or the machine that a batch job requests.

A login node has no GPU and may lack a compiler or a server's command. Inside `requested(gpus=4)`, checks compare the config
only with the request. The job itself checks the rest: its stage runs the same check on its own machine before it loads
anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_gpus: ContextVar[int | None] = ContextVar("gpus", default=None)
_apart: ContextVar[bool] = ContextVar("apart", default=False)


def requested_gpus() -> int | None:
    """Return the number of GPUs of the machine that the check is for; None if the check is for this machine."""
    return _gpus.get()


def one_server_each() -> bool:
    """Return whether each model's server gets a machine of its own. If so, the machine's GPUs need to suffice for only
    one server."""
    return _apart.get()


@contextmanager
def requested(gpus: int, *, one_server_each: bool = False) -> Iterator[None]:
    """Declare that configs checked in the block are for a machine with `gpus` GPUs and all programs and packages."""
    before, apart = _gpus.set(gpus), _apart.set(one_server_each)
    try:
        yield
    finally:
        _apart.reset(apart)
        _gpus.reset(before)
