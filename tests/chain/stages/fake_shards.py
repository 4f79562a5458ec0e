"""A stage that can be divided: two rounds of shards with a merge between them, without models. A shard whose number is in the file
`FAKE_CALLS.bad` fails."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from gra.errors import Problem
from gra.parts import Part, Wave

NAME = "fake_shards"
VERSION = 1
NOT_HASHED = ("parts",)


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:  # noqa: ARG001
    return []


def divide(config: dict[str, Any], output: Path, count: int) -> tuple[list[Wave], dict[str, Any]]:
    folder = output.with_name(f"{output.name}.shards")

    def shard(task: int, number: int) -> Part:
        previous = {"previous": folder / "merged-0"} if number else {}
        return Part("fake_shard.run", {"round": number, "index": task}, folder / f"round-{number}/{task}", previous)

    def merge(_task: int) -> Part:
        return Part("fake_shards.run", {**config, "parts": str(folder / "round-0")}, folder / "merged-0", {})

    waves = [Wave(f"round-{n}", count, partial(shard, number=n)) for n in (0, 1)]
    waves.insert(1, Wave("merge-0", 1, merge, gathers=True))
    return waves, {**config, "parts": str(folder / "round-1")}


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:  # noqa: ARG001
    found = sorted(Path(config["parts"]).glob("*/value"), key=lambda path: int(path.parent.name))
    with Path(os.environ["FAKE_CALLS"]).open("a") as calls:
        calls.write(f"{NAME} {len(found)}\n")
    (output / "value").write_text(str(sum(int(path.read_text()) for path in found)))
    return {"parts": float(len(found))}
