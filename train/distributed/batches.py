"""Checks how the global batch is divided: processes x sequences per forward pass x accumulation steps. No heavy import."""

from __future__ import annotations

import os

from gra.errors import Problem
from gra.train.settings import RuntimeSettings, SftSettings


def world_size() -> int:
    """Return the number of processes that train together. torchrun and Slurm launchers set it as WORLD_SIZE. Without a
    launcher it is 1."""
    text = os.environ.get("WORLD_SIZE", "1")
    return int(text) if text.isdigit() and int(text) > 0 else 1


def near_multiples(value: int, step: int) -> str:
    """Return the multiples of `step` just below and just above `value`, as text for an error's remedy."""
    below = value // step * step
    return f"{below} or {below + step}" if below else str(step)


def problems(sft: SftSettings, runtime: RuntimeSettings, world: int) -> list[Problem]:
    """Return a problem if `sft.global_batch` cannot be divided evenly among `world` processes and their forward passes.
    Return [] if it can. The remedy of the problem names the nearest batch sizes that fit."""
    if runtime.per_device_batch is None:
        if sft.global_batch % world == 0:
            return []
        return [
            Problem(
                "sft.global_batch",
                f"{sft.global_batch} is not a multiple of {world} processes",
                f"nearest: {near_multiples(sft.global_batch, world)}",
            )
        ]
    step = runtime.per_device_batch * world
    if sft.global_batch % step == 0:
        return []
    message = f"{sft.global_batch} is not a multiple of runtime.per_device_batch={runtime.per_device_batch} x {world} process(es)"
    remedy = f"nearest: sft.global_batch={near_multiples(sft.global_batch, step)}"
    if sft.global_batch % world == 0:
        fitting = [n for n in range(1, sft.global_batch // world + 1) if (sft.global_batch // world) % n == 0]
        close = sorted(sorted(fitting, key=lambda n: abs(n - step // world))[:2])
        remedy += f", or runtime.per_device_batch={' or '.join(map(str, close))}"
    return [Problem("sft.global_batch", message, remedy)]
