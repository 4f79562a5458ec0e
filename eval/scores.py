"""PURE: rows of items -> scores.json: of each task n and the strict score, the tolerant one and the extraction rate with their
standard errors, and their means over each group and over all tasks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eval.samples import Row

_MEANS = ("value", "stderr", "tolerant", "tolerant_stderr", "extraction", "extraction_stderr")


def scores(
    tasks: Sequence[str],
    rows: Iterable[Row],
    metrics: Mapping[str, str],
    groups: Mapping[str, str],
    simulated: bool,
    how: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """`metrics`, `groups`, `how`: task -> name of its metric, of its group, and how it was asked (asked.py).

    A task with no rows has None for its numbers.

    `extraction` is the share of items in which the strict extraction found an answer. A task without a tolerant score (unknown kind
    of answer, log-likelihoods) has None for both. A mean over tasks (all, or of a group) is None unless every one of them has a
    value: means of other tasks do not compare.
    """
    by_task: dict[str, list[Row]] = {task: [] for task in tasks}
    for row in rows:
        by_task[row["task"]].append(row)
    per_task: dict[str, dict[str, Any]] = {
        task: {
            "metric": metrics.get(task),
            "group": groups.get(task, task),
            "n": len(mine),
            **_numbers(mine),
            "how": dict((how or {}).get(task, {})),
        }
        for task, mine in by_task.items()
    }
    members: dict[str, list[dict[str, Any]]] = {}
    for task in tasks:
        members.setdefault(groups.get(task, task), []).append(per_task[task])
    return {
        "simulated": simulated,
        "tasks": per_task,
        "groups": {group: _means(several) for group, several in members.items()},
        "mean": _means(list(per_task.values())),
    }


def flat(result: Mapping[str, Any]) -> dict[str, float]:
    """The stage's metrics: `mean`, `<task>`, and of each `.tolerant` and `.extraction`; what is None is left out."""
    numbers: dict[str, float | None] = {}
    for name, score in [("mean", result["mean"]), *result["tasks"].items()]:
        numbers |= {name: score["value"], f"{name}.tolerant": score["tolerant"], f"{name}.extraction": score["extraction"]}
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


def _numbers(rows: Sequence[Row]) -> dict[str, float | None]:
    strict = [row["correct"] for row in rows]
    tolerant = [row["correct_tolerant"] for row in rows if row["correct_tolerant"] is not None]
    read = [float(row["extracted"] is not None) for row in rows]
    if len(tolerant) < len(rows):
        tolerant, read = [], []
    return {
        "value": mean(strict), "stderr": stderr(strict), "tolerant": mean(tolerant), "tolerant_stderr": stderr(tolerant),
        "extraction": mean(read), "extraction_stderr": stderr(read),
    }  # fmt: skip


def _means(tasks: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Plain means over benchmarks, and how many items they are over; the benchmarks are independent, so the variances of their
    scores add up. Items count as independent here, also where `gra compare` draws clusters."""
    found: dict[str, float | None] = {"n": sum(task["n"] for task in tasks)}
    for name in _MEANS:
        known = [task[name] for task in tasks if task[name] is not None]
        if len(known) < len(tasks) or not tasks:
            found[name] = None
        elif name.endswith("stderr"):
            found[name] = math.sqrt(math.fsum(value**2 for value in known)) / len(known)
        else:
            found[name] = mean(known)
    return found
