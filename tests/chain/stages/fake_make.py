"""A stage that writes a number, and can be told to be slow, to fail, to crash. Real processes run it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from gra.errors import GraError, NothingKept, Problem

NAME = "fake_make"
VERSION = 1
NOT_HASHED = ("pool.base_url",)


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:  # noqa: ARG001
    known = {"seed", "value", "slow", "fail", "runtime", "pool", "file", "mark"}
    problems = [Problem(key, "unknown key", "remove it") for key in config if key not in known]
    if config.get("value", 0) < 0:
        problems.append(Problem("value", "must not be negative", "set value=0"))
    if config.get("file") and not Path(config["file"]).is_file():
        problems.append(Problem("file", f"{config['file']}: no such file", "correct the path"))
    return problems


def external_files(config: dict[str, Any]) -> dict[str, Path]:
    return {"file": Path(config["file"])} if config.get("file") else {}


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:  # noqa: ARG001
    with Path(os.environ["FAKE_CALLS"]).open("a") as calls:
        calls.write(f"{NAME} {config.get('value')}\n")
    print("working", flush=True)
    half = output / "half"
    slow = 0.0 if half.exists() else config.get("slow", 0)  # a resumed run does not start from nothing
    half.write_text("half")
    time.sleep(slow)
    if config.get("fail") == "error":
        raise GraError("this cannot be\n    -> try another")
    if config.get("fail") == "nothing":
        raise NothingKept("No sample was kept")
    if config.get("fail") == "crash":
        os.abort()
    if config.get("mark"):
        (output / "SIMULATED").write_text("a fake\n")
    (output / "value").write_text(str(config.get("value", 0)))
    return {"value": float(config.get("value", 0))}
