"""Changes to a made-up scores folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def edit(where: Path, **changes: Any) -> None:
    """Change keys of every benchmark in scores.json."""
    scores = json.loads((where / "scores.json").read_text())
    for entry in scores["tasks"].values():
        entry |= changes
    (where / "scores.json").write_text(json.dumps(scores))


def skip(where: Path, task: str) -> None:
    """As an evaluation leaves a benchmark out for missing data."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    scores = json.loads((where / "scores.json").read_text())
    scores["tasks"][task] = {"n": 0, "metric": None, "group": "g"} | dict.fromkeys(
        ("value", "stderr", "tolerant", "extraction")
    )
    (where / "scores.json").write_text(json.dumps(scores))
    table = pq.ParquetFile(where / "samples.parquet").read()
    pq.write_table(table.filter(pc.not_equal(table["task"], task)), where / "samples.parquet")
