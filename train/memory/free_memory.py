"""Finds how much memory a run can use on this machine: its GPU's memory, or main memory within its job's limit."""

from __future__ import annotations

import os
from pathlib import Path

from gra.train.distributed.batches import world_size

CGROUPS = Path("/sys/fs/cgroup")
UNLIMITED = 2**60  # cgroup v1 expresses "no limit" by a number near 2^63


def gpu() -> int:
    """Return how many bytes a run can use on this process's GPU.

    A single process can use the memory that is free now. With several processes, the result is the GPU's total memory.
    Each process has a GPU for itself, and all processes must get the same number without communication.
    """
    import torch

    index = int(os.environ.get("LOCAL_RANK") or 0) % torch.cuda.device_count()
    free, whole = torch.cuda.mem_get_info(index)
    if world_size() > 1:
        return whole
    return free + torch.cuda.memory_reserved(index) - torch.cuda.memory_allocated(index)


def cpu(groups: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """Return how many bytes of main memory this process can use.

    A single process can use the system's free memory or, if that is less, the unused part of the job's limit (cgroups).
    Several training processes share the machine's memory or, if that is less, the job's limit. The result is this
    amount divided by the number of processes on this machine.
    """
    import psutil

    memory = psutil.virtual_memory()
    if world_size() > 1:  # all must find the same number, so the memory that is free now cannot be used
        limits = [limit for limit, _ in _limits(groups, own)]
        return min([memory.total, *limits]) // max(1, int(os.environ.get("LOCAL_WORLD_SIZE") or 1))
    return max(0, min([memory.available, *(limit - used for limit, used in _limits(groups, own))]))


def _limits(groups: Path, own: Path) -> list[tuple[int, int]]:
    """Return (limit, used) for this process's cgroup and each cgroup around it that has a limit, in cgroup v2 and v1.

    Inactive file cache does not count as used, because the kernel reclaims it first.
    """
    found = []
    lines = own.read_text(encoding="utf-8", errors="replace").splitlines() if own.is_file() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = groups / "memory" if controllers else groups
        limit, used = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max", "memory.current")
        )
        inside = root / path.strip("/")
        for folder in (inside, *(p for p in inside.parents if p.is_relative_to(root))):
            most, now = _number(folder / limit), _number(folder / used)
            if most is not None and most < UNLIMITED:
                found.append((most, max(0, (now or 0) - _stat(folder / "memory.stat", "inactive_file"))))
    return found


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdigit() else None


def _stat(path: Path, key: str) -> int:
    try:
        pairs = dict(line.split(" ", 1) for line in path.read_text(encoding="ascii").splitlines() if " " in line)
    except (OSError, UnicodeDecodeError):
        return 0
    return int(pairs.get(key, "0")) if pairs.get(key, "0").isdigit() else 0
