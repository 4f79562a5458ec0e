"""Records for which machine a config is checked: for this machine, or for the machine on which a batch job will run
later.

A login node has no GPU and may lack a compiler or a server's command. Therefore, in a block `with requested(gpus=4,
...)`, the checks compare a config only with the GPUs that the job requests. When the job runs, it checks the config in
full on its machine, before it loads anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_gpus: ContextVar[int | None] = ContextVar("gpus", default=None)
_apart: ContextVar[bool] = ContextVar("apart", default=False)
_key: ContextVar[str] = ContextVar("key", default="")


def requested_gpus() -> int | None:
    """Return the number of GPUs that a batch job requests. This is possible only in a `with` block of `requested`, in
    which configs are checked for the machine of a batch job. Elsewhere, configs are checked for this machine, and the
    result is None."""
    return _gpus.get()


def one_server_each() -> bool:
    """Return whether each model's server gets a machine of its own. A machine then needs GPUs for one server only."""
    return _apart.get()


def too_few_gpus(needed: int, there: int) -> str:
    """Return the error message for a config that needs too many GPUs. `needed`: the number of GPUs that the config
    needs. `there`: the number of GPUs that this machine has or that the batch job requests."""
    return f"{needed} GPUs are needed, {there} are {'visible' if _gpus.get() is None else 'requested'}"


def more_gpus() -> str:
    """Return advice for the user on how to get more GPUs, on this machine or in the batch job."""
    here = "make more GPUs visible (CUDA_VISIBLE_DEVICES; sbatch --gres)"
    return here if _gpus.get() is None else f"request more: {_key.get()}.gpus"


def server_jobs() -> str | None:
    """Return the config key with which the user can give each model's server a batch job of its own. Return None if
    each server already has its own job, or if the config is checked for this machine and not for a batch job."""
    return None if _gpus.get() is None or _apart.get() else f"{_key.get()}.servers"


@contextmanager
def requested(gpus: int, key: str, *, one_server_each: bool = False) -> Iterator[None]:
    """During the `with` block, check configs for a batch job on a machine with `gpus` GPUs, not for this machine. The
    job's machine is assumed to have all programs and packages.

    `key`: the config key under which the user describes the job. Messages name its subkeys, e.g. KEY.gpus.
    `one_server_each`: whether each model's server gets a machine of its own.
    """
    before, apart, place = _gpus.set(gpus), _apart.set(one_server_each), _key.set(key)
    try:
        yield
    finally:
        _key.reset(place)
        _apart.reset(apart)
        _gpus.reset(before)
