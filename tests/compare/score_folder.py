"""Made-up scores folders, in the format that the evaluation writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TASKS = {
    f"world_{name}": 150 for name in ["arithmetic", "sequences", "strings", "logic", "code", "knowledge", "formatting"]
}
COLUMNS = ("task", "doc_id", "cluster", "answer", "correct", "correct_tolerant", "extracted")


def write_scores(
    folder: Path, skill: float, seed: int, tasks: dict[str, int] = TASKS, simulated: bool = True, clusters: int = 0
) -> Path:
    """An evaluation whose items share their difficulty with every other arm's, and stand in so many clusters."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng([seed, 7])
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    scores: dict[str, Any] = {}
    for place, (task, n) in enumerate(tasks.items()):
        ease = np.random.default_rng([place, 11]).beta(1.2, 1.2, n)
        correct = (noise.random(n) < np.clip(ease + skill, 0, 1)).astype(float)
        columns["task"] += [task] * n
        columns["doc_id"] += [f"{task}-{i:04d}" for i in range(n)]
        columns["cluster"] += [f"part {i % clusters}" if clusters else None for i in range(n)]
        columns["answer"] += [f"answer {i}" for i in range(n)]
        right_in_another_form = noise.random(n) < 0.1
        tolerant = np.maximum(correct, right_in_another_form)
        found = (correct == 1) | ~right_in_another_form
        columns["correct"] += correct.tolist()
        columns["correct_tolerant"] += tolerant.tolist()
        columns["extracted"] += ["x" if one else None for one in found]
        scores[task] = {
            "metric": "exact_match",
            "value": float(correct.mean()),
            "stderr": 0.03,
            "n": n,
            "group": "g",
            "tolerant": float(tolerant.mean()),
            "tolerant_stderr": 0.03,
            "extraction": float(found.mean()),
            "extraction_stderr": 0.03,
        }
    kinds = {"correct": pa.float64(), "correct_tolerant": pa.float64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    pq.write_table(pa.table(columns, schema=schema), folder / "samples.parquet")
    mean = float(np.mean([s["value"] for s in scores.values()]))
    (folder / "scores.json").write_text(json.dumps({"simulated": simulated, "tasks": scores, "mean": mean}))
    return folder
