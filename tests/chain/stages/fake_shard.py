"""One shard of fake_shards.py: writes its number, or fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gra.errors import GraError, Problem

NAME = "fake_shard"
VERSION = 1


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:  # noqa: ARG001
    return []


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:  # noqa: ARG001
    calls = Path(os.environ["FAKE_CALLS"])
    with calls.open("a") as handle:
        handle.write(f"{NAME} {config['round']} {config['index']}\n")
    bad = calls.with_name(f"{calls.name}.bad")
    if bad.exists() and str(config["index"]) in bad.read_text().split():
        raise GraError("a disk of this shard is full\n    -> make room")
    (output / "value").write_text(str(config["index"]))
    return {}
