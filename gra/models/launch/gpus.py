"""Finds the GPUs of this machine and assigns them to the models that are served."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from gra.machine import requested_gpus, too_few_gpus


def visible_gpus(environment: Mapping[str, str] | None = None, devices: Path = Path("/dev")) -> list[str]:
    """Return the GPUs that this process can use, as written in CUDA_VISIBLE_DEVICES (indices, GPU-... or MIG-... ids).

    Like CUDA, it ignores everything after an invalid entry such as -1. If the variable is not set, it returns all
    NVIDIA devices. If the config is checked for a batch job (gra/machine.py), it returns as many GPUs as the job
    requests, numbered from 0.
    """
    if environment is None and (gpus := requested_gpus()) is not None:
        return [str(number) for number in range(gpus)]
    given = (os.environ if environment is None else environment).get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return [
            str(i) for i in range(sum(1 for path in devices.glob("nvidia*") if path.name[len("nvidia") :].isdigit()))
        ]
    found: list[str] = []
    for entry in (part.strip() for part in given.split(",")):
        if not (entry.isdigit() or entry.startswith(("GPU-", "MIG-"))):
            break
        found.append(entry)
    return list(dict.fromkeys(found))


def assign_gpus(visible: Sequence[str], wanted: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """Return the GPUs that each model gets. The GPUs are assigned in the order of `visible`, and each to one model
    only.

    `visible`: the GPUs that can be used. `wanted`: the number of GPUs that each model needs, by the model's name.
    Raises ValueError if there are too few GPUs.
    """
    if sum(wanted.values()) > len(visible):
        raise ValueError(too_few_gpus(sum(wanted.values()), len(visible)))
    free = iter(visible)
    return {name: tuple(next(free) for _ in range(count)) for name, count in wanted.items()}
