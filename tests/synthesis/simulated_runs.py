"""Small syntheses in the simulated world, run in this process, for the tests of single settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from gra.simulation import world_stage
from gra.synthesis import stage

NAMES = [f"slm-{letter}" for letter in "abcde"]


def config(world: Path, concurrency: int = 64, **synthesis: Any) -> dict[str, Any]:
    columns = {"instruction": "instruction", "input": "input", "response": "output", "domain": "domain"}
    return {
        "seed": 0,
        "seeds": {"path": str(world), "format": "jsonl", "limit": 40, "columns": columns},
        "pool": {"_target_": "gra.simulation.backend.connect", "models": NAMES, "simulated": True},
        "synthesis": {"dedup": {"model": "hash"}, "decontaminate": {"enabled": False}, **synthesis},
        "runtime": {"concurrency": concurrency},
    }


def run(given: dict[str, Any], folder: Path) -> Path:
    folder.mkdir(parents=True)
    stage.run(given, {}, folder)
    return folder


def seeds_of_a_world(folder: Path) -> Path:
    world_stage.run({"seed": 0, "world": {"seeds": 60, "test_per_task": 5}}, {}, folder)
    return folder / "seeds" / "seeds.jsonl"


def rows(folder: Path, name: str = "data/train.parquet") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder / name).to_pylist()
    return found
