"""A stage that adds up what its input folders hold."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gra.errors import Problem

NAME = "fake_join"
VERSION = 1


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:  # noqa: ARG001
    return [] if inputs else [Problem("inputs", "needs at least one", "give one")]


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    with Path(os.environ["FAKE_CALLS"]).open("a") as calls:
        calls.write(f"{NAME}\n")
    total = config.get("plus", 0) + sum(int((folder / "value").read_text()) for folder in inputs.values())
    (output / "value").write_text(str(total))
    _scores(output, total)
    return {"total": float(total)}


def _scores(output: Path, total: int) -> None:
    """Scores in the form that the comparison reads: 20 items, `total` of them right."""
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    correct = [float(i < total) for i in range(20)]
    columns = {
        "task": ["t"] * 20,
        "doc_id": [str(i) for i in range(20)],
        "cluster": pa.nulls(20, pa.string()),
        "correct": correct,
        "correct_tolerant": correct,
        "extracted": ["x"] * 20,
        "answer": ["x"] * 20,
    }
    pq.write_table(pa.table(columns), output / "samples.parquet")
    entry = {
        "metric": "exact_match",
        "value": sum(correct) / 20,
        "stderr": None,
        "n": 20,
        "group": "t",
        "tolerant": sum(correct) / 20,
        "tolerant_stderr": None,
        "extraction": 1.0,
        "extraction_stderr": None,
    }
    (output / "scores.json").write_text(json.dumps({"simulated": False, "tasks": {"t": entry}}))
