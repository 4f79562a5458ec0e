"""Records for which machine configs are checked: this machine, or the one that a batch job requests.

A login node has no GPU and may lack a compiler or a server's command. In a block `with requested(gpus=4, ...)`, checks
compare a config only with the GPUs that the job requests. When the job runs, its stage checks the config in full on its
machine, before it loads anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_gpus: ContextVar[int | None] = ContextVar("gpus", default=None)
_apart: ContextVar[bool] = ContextVar("apart", default=False)
_key: ContextVar[str] = ContextVar("key", default="")


def requested_gpus() -> int | None:
    """Return the number of GPUs that the batch job requests; None if configs are checked for this machine."""
    return _gpus.get()


def one_server_each() -> bool:
    """Return whether each model's server gets a machine of its own. If so, the machine's GPUs need to suffice for only
    one server."""
    return _apart.get()


def too_few_gpus(needed: int, there: int) -> str:
    """Return the message for a config that needs more GPUs (`needed`) than are there (`there`), visible here or
    requested."""
    return f"{needed} GPUs are needed, {there} are {'visible' if _gpus.get() is None else 'requested'}"


def more_gpus() -> str:
    """Return advice for the user how to get more GPUs, on this machine or for the batch job."""
    here = "make more GPUs visible (CUDA_VISIBLE_DEVICES; sbatch --gres)"
    return here if _gpus.get() is None else f"request more: {_key.get()}.gpus"


def server_jobs() -> str | None:
    """Return the key that gives each model's server a job of its own; None if each has one already, or if configs are
    checked for this machine."""
    return None if _gpus.get() is None or _apart.get() else f"{_key.get()}.servers"


@contextmanager
def requested(gpus: int, key: str, *, one_server_each: bool = False) -> Iterator[None]:
    """Declare that configs checked in the block are for a machine with `gpus` GPUs and all programs and packages.
    `key`: the config key of the mapping with the job's request, such as the number `gpus`."""
    before, apart, place = _gpus.set(gpus), _apart.set(one_server_each), _key.set(key)
    try:
        yield
    finally:
        _key.reset(place)
        _apart.reset(apart)
        _gpus.reset(before)
