"""PURE: rows of items -> scores.json: value, standard error, n and the share without an answer of each task, and the means."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eval.samples import Row


def scores(
    tasks: Sequence[str], rows: Iterable[Row], metrics: Mapping[str, str], groups: Mapping[str, str], simulated: bool
) -> dict[str, Any]:
    """`metrics` and `groups`: task -> name of its metric, of its group. A task with no rows has None for its numbers.

    A mean over tasks (all, or of a group) is None unless every one of them has a value: means of other tasks do not compare.
    """
    by_task: dict[str, list[Row]] = {task: [] for task in tasks}
    for row in rows:
        by_task[row["task"]].append(row)
    per_task: dict[str, dict[str, Any]] = {
        task: {
            "metric": metrics.get(task),
            "value": mean([row["correct"] for row in mine]),
            "stderr": stderr([row["correct"] for row in mine]),
            "n": len(mine),
            "no_answer": mean([float(row["no_answer"]) for row in mine]),
            "group": groups.get(task, task),
        }
        for task, mine in by_task.items()
    }
    members: dict[str, list[float | None]] = {}
    for task in tasks:
        members.setdefault(groups.get(task, task), []).append(per_task[task]["value"])
    return {
        "simulated": simulated,
        "tasks": per_task,
        "groups": {group: _mean_of_all(values) for group, values in members.items()},
        "mean": _mean_of_all([score["value"] for score in per_task.values()]),
    }


def flat(result: Mapping[str, Any]) -> dict[str, float]:
    """The stage's metrics: `mean`, and of each task `<task>` and `<task>.no_answer`; what is None is left out."""
    numbers = {"mean": result["mean"]}
    for task, score in result["tasks"].items():
        numbers |= {task: score["value"], f"{task}.no_answer": score["no_answer"]}
    return {name: float(value) for name, value in numbers.items() if value is not None}


def mean(values: Sequence[float]) -> float | None:
    """The plain mean; None of nothing."""
    return math.fsum(values) / len(values) if values else None


def stderr(values: Sequence[float]) -> float | None:
    """Standard error of the mean from the sample variance (n - 1), as lm-eval has it; None of fewer than two values."""
    if len(values) < 2:
        return None
    centre = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1) / len(values))


def _mean_of_all(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if len(known) == len(values) else None
