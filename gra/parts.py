"""Describes how a stage splits one run into parts for several jobs, in consecutive waves. gra/cluster queues the parts.
For a synthesis, gra/synthesis/engine/sharding.py makes the parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Part:
    """One task: the stage at the dotted path `target` writes the folder `output`. `inputs`: inputs of this task, in
    addition to the inputs of the whole run."""

    target: str
    config: dict[str, Any]
    output: Path
    inputs: dict[str, Path]


@dataclass(frozen=True)
class Wave:
    """Tasks that run at the same time, after all tasks of the previous wave. `part(i)` is task number i, counted from
    0.

    `gathers`: whether the wave has a single task that collects what all tasks of the previous wave recorded. This task
    also does the work that they left undone.
    """

    name: str
    tasks: int
    part: Callable[[int], Part]
    gathers: bool = False
