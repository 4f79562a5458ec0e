"""Describes how a stage divides one run into parts that several jobs can do, wave after wave (gra/cluster, sharding.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Part:
    """One task: the stage with the dotted path `target` makes the folder `output`. `inputs`: those besides the whole's inputs."""

    target: str
    config: dict[str, Any]
    output: Path
    inputs: dict[str, Path]


@dataclass(frozen=True)
class Wave:
    """Tasks that run at the same time, after all of the wave before. `part(i)`: task number i, from 0.

    A wave of one task that `gathers` uses what the tasks of the wave before recorded, and does itself what they did not.
    """

    name: str
    tasks: int
    part: Callable[[int], Part]
    gathers: bool = False
