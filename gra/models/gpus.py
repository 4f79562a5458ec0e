"""Which GPUs each served model gets: PURE, but for `visible_gpus`, which looks at the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path


def visible_gpus(environment: Mapping[str, str] | None = None, devices: Path = Path("/dev")) -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES writes them (indices, GPU-... or MIG-... ids).

    As CUDA reads it: what follows an invalid entry (-1) does not count. Where the variable is unset: all NVIDIA devices.
    """
    given = (os.environ if environment is None else environment).get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return [str(i) for i in range(sum(1 for path in devices.glob("nvidia*") if path.name[len("nvidia") :].isdigit()))]
    found: list[str] = []
    for entry in (part.strip() for part in given.split(",")):
        if not (entry.isdigit() or entry.startswith(("GPU-", "MIG-"))):
            break
        found.append(entry)
    return list(dict.fromkeys(found))


def assign_gpus(visible: Sequence[str], wanted: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """Each name's GPUs, in order, none twice. A name that wants 0 gets none. Raises ValueError where they do not suffice."""
    if sum(wanted.values()) > len(visible):
        raise ValueError(f"{sum(wanted.values())} GPUs are wanted, {len(visible)} are visible")
    free = iter(visible)
    return {name: tuple(next(free) for _ in range(count)) for name, count in wanted.items()}
