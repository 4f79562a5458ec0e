"""What an evaluation left behind (`scores.json`, `samples.parquet`), read and checked against each other."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gra.compare.arms import Arm
from gra.compare.bootstrap import Outcomes
from gra.errors import EvalError
from gra.fileio import read_json

TOLERANCE = 5e-4  # between a benchmark's value and the mean of its items; lm-eval may have rounded the value


@dataclass(frozen=True)
class TaskScore:
    """One benchmark of one run: shares in 0..1; `stderr` and `no_answer` are None where the evaluation gave none."""

    value: float
    n: int
    metric: str = ""
    stderr: float | None = None
    no_answer: float | None = None
    group: str = ""


@dataclass(frozen=True)
class Scores:
    """One evaluated run: `tasks` by name, and by the same names the items' (doc_ids, correct of shape (items,))."""

    tasks: dict[str, TaskScore]
    items: dict[str, tuple[tuple[str, ...], np.ndarray]]
    simulated: bool


def load(folder: Path) -> Scores:
    """The scores in `folder`. Raises EvalError, naming the file and key, for a file that is missing, broken or contradictory."""
    path = folder / "scores.json"
    try:
        raw = read_json(path)
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise EvalError(f"{path} cannot be read ({error}). Run the evaluation again.") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("tasks"), dict) or not raw["tasks"]:
        raise EvalError(f"{path}: `tasks` must be a mapping with at least one benchmark. Run the evaluation again.")
    tasks = {str(name): _task(path, name, entry) for name, entry in raw["tasks"].items()}
    items = _items(folder / "samples.parquet")
    for name, task in tasks.items():
        ids, correct = items.get(name, ((), np.zeros(0)))
        if len(ids) != task.n:
            raise EvalError(f"{path}: {name} has n = {task.n}, but samples.parquet holds {len(ids)} items of it.")
        if abs(float(correct.mean()) - task.value) > TOLERANCE:
            raise EvalError(
                f"{path}: the value of {name} is {task.value:.4f}, but its items in samples.parquet average {correct.mean():.4f}: "
                "the table and its intervals would speak of different things. Run the evaluation again."
            )
    return Scores(tasks, {name: items[name] for name in tasks}, raw.get("simulated") is True)


def outcomes(runs: Sequence[Scores], replicates: Sequence[int], task: str, where: str) -> Outcomes:
    """The `Outcomes` of one benchmark over the replicates of an arm, which must have answered the same items."""
    ids = tuple(sorted(runs[0].items[task][0]))
    rows = []
    for run in runs:
        own, correct = run.items[task]
        if set(own) != set(ids):
            shared = len(set(own) & set(ids))
            raise EvalError(
                f"{where}: its replicates answered different items of {task} ({len(ids)} and {len(own)}, {shared} shared). "
                "Evaluate all replicates on the same suite with the same limit."
            )
        place = {doc: index for index, doc in enumerate(own)}
        rows.append(correct[[place[doc] for doc in ids]])
    return Outcomes(ids, np.stack(rows), tuple(replicates))


def load_arm(arm: Arm) -> Scores | None:
    """The scores of an arm, or None where it has not been evaluated."""
    folder = arm.folders.get("scores")
    return load(folder) if folder is not None else None


def _task(path: Path, name: str, entry: Any) -> TaskScore:
    if not isinstance(entry, dict):
        raise EvalError(f"{path}: tasks.{name} must be a mapping.")
    value: Any = entry.get("value")
    n = entry.get("n")
    if not _share(value):
        raise EvalError(f"{path}: tasks.{name}.value must be a number from 0 to 1, got {value!r:.60}.")
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise EvalError(f"{path}: tasks.{name}.n must be a whole number of at least 1, got {n!r:.60}.")
    for key in ("stderr", "no_answer"):
        if entry.get(key) is not None and not _share(entry[key]):
            raise EvalError(f"{path}: tasks.{name}.{key} must be null or a number from 0 to 1, got {entry[key]!r:.60}.")
    return TaskScore(
        value=float(value), n=n, metric=str(entry.get("metric", "")), stderr=entry.get("stderr"),
        no_answer=entry.get("no_answer"), group=str(entry.get("group") or ""),
    )  # fmt: skip


def _share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1


def _items(path: Path) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """By benchmark: distinct doc_ids and their correctness, from samples.parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read(columns=["task", "doc_id", "correct"])  # pq.read_table would import pandas
    except (OSError, pa.ArrowInvalid) as error:
        raise EvalError(f"{path} cannot be read ({error}). Run the evaluation again.") from error
    if absent := {"task", "doc_id", "correct"} - set(table.column_names):
        raise EvalError(f"{path}: no column {', '.join(sorted(absent))}. Run the evaluation again.")
    correct = np.array(table["correct"].cast(pa.float64()).to_pylist(), dtype=np.float64)  # null becomes NaN
    if bad := int((~((correct >= 0) & (correct <= 1))).sum()):
        raise EvalError(f"{path}: {bad} of {len(correct)} values of `correct` are missing or outside 0..1.")
    grouped: dict[str, tuple[list[str], list[int]]] = {}
    for row, (task, doc) in enumerate(zip(table["task"].to_pylist(), table["doc_id"].to_pylist(), strict=True)):
        ids, places = grouped.setdefault(str(task), ([], []))
        ids.append(str(doc))
        places.append(row)
    for task, (ids, _) in grouped.items():
        if len(set(ids)) != len(ids):
            raise EvalError(f"{path}: {len(ids) - len(set(ids))} of {len(ids)} doc_ids of {task} occur more than once.")
    return {task: (tuple(ids), correct[places]) for task, (ids, places) in grouped.items()}
