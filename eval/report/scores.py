"""PURE: computes scores.json from the rows of samples.parquet.

scores.json gives the strict score, the tolerant score and the extraction rate, with standard errors, and the number of
truncated replies: for each task, for each group, and over all tasks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gra.eval.report.samples import SampleRow

_MEANS = ("value", "stderr", "tolerant", "tolerant_stderr", "extraction", "extraction_stderr")
_COUNTS = ("at_limit", "at_limit_known")


def scores(
    tasks: Sequence[str],
    rows: Iterable[SampleRow],
    metrics: Mapping[str, str],
    groups: Mapping[str, str],
    simulated: bool,
    how: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return the content of scores.json: the scores of each task, of each group, and over all tasks.

    `metrics`, `groups`, `how`: the metric, the group and the conditions (suite/conditions.py) of each task.

    Some entries of a task:

    - `extraction`: the share of items in whose replies the strict rules (the task's own) found an answer. It is None,
      like the tolerant score, if lenient extraction is not defined for the task (unknown kind of answer,
      log-likelihoods).
    - `at_limit_known`: the number of replies for which the backend reported whether they were truncated.
    - `at_limit`: the number of truncated replies among these; None if `at_limit_known` is 0.
    - `macro`: scores in which each cluster of items (MMLU's subjects, BBH's tasks) has the same weight, as OpenCompass
      prints them. They are unweighted means of the clusters' means. The number of clusters is stored under the key
      "over". A task without clusters has None.

    The standard errors of `macro` treat the clusters as fixed and the items within a cluster as a sample. The variance
    of each cluster is divided by its number of items. The square root of the sum over clusters is then divided by the
    number of clusters. If a cluster has only one item, the standard errors are None.

    If `rows` has none of a task, all numbers of this task are None. A mean over tasks is None if one of the tasks has
    no value, because means over different tasks are not comparable. The stage adds `quantized`: the model's label if
    its weights were once quantised (gra/labels.py), or None.
    """
    by_task: dict[str, list[SampleRow]] = {task: [] for task in tasks}
    for row in rows:
        by_task[row["task"]].append(row)
    per_task: dict[str, dict[str, Any]] = {
        task: {
            "metric": metrics.get(task),
            "group": groups.get(task, task),
            "n": len(mine),
            **_numbers(mine),
            **_ended(mine),
            "macro": _macro(mine),
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
    """Return the stage's metrics: the strict score, tolerant score and extraction rate of each task, and their means.

    The strict score counts answers that the task's own rules extract from the replies, the tolerant score those that
    lenient rules extract. The extraction rate is the share of items in which the task's own rules found an answer.

    The keys are NAME, NAME.tolerant and NAME.extraction, where NAME is `mean` or a task. None values are left out.
    """
    numbers: dict[str, float | None] = {}
    for name, score in [("mean", result["mean"]), *result["tasks"].items()]:
        numbers |= {
            name: score["value"],
            f"{name}.tolerant": score["tolerant"],
            f"{name}.extraction": score["extraction"],
        }
    return {name: float(value) for name, value in numbers.items() if value is not None}


def mean(values: Sequence[float]) -> float | None:
    """Return the arithmetic mean; None for no values."""
    return math.fsum(values) / len(values) if values else None


def stderr(values: Sequence[float]) -> float | None:
    """Return the standard error of the mean; None for fewer than two values.

    It is computed from the sample variance (n - 1), as in lm-eval.
    """
    if len(values) < 2:
        return None
    centre = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1) / len(values))


def _numbers(rows: Sequence[SampleRow]) -> dict[str, float | None]:
    strict, tolerant, read = _columns(rows)
    return {
        "value": mean(strict),
        "stderr": stderr(strict),
        "tolerant": mean(tolerant),
        "tolerant_stderr": stderr(tolerant),
        "extraction": mean(read),
        "extraction_stderr": stderr(read),
    }


def _columns(rows: Sequence[SampleRow]) -> tuple[list[float], list[float], list[float]]:
    """Return three lists over items: strictly right, tolerantly right, extracted.

    The last two are empty if there is no tolerant score.
    """
    strict = [row["correct"] for row in rows]
    tolerant = [row["correct_tolerant"] for row in rows if row["correct_tolerant"] is not None]
    read = [float(row["extracted"] is not None) for row in rows]
    return (strict, tolerant, read) if len(tolerant) == len(rows) else (strict, [], [])


def _ended(rows: Sequence[SampleRow]) -> dict[str, int | None]:
    known = [ended for row in rows if (ended := row.get("at_limit")) is not None]
    return {"at_limit": sum(known) if known else None, "at_limit_known": len(known)}


def _macro(rows: Sequence[SampleRow]) -> dict[str, float | None] | None:
    """Return the entry `macro`; None if the items have no clusters, or only one."""
    parts: dict[str, list[SampleRow]] = {}
    for row in rows:
        if row["cluster"] is None:
            return None
        parts.setdefault(row["cluster"], []).append(row)
    if len(parts) < 2:
        return None
    every = [_numbers(part) for part in parts.values()]
    return {"over": len(parts)} | {name: _plain_mean([numbers[name] for numbers in every], name) for name in _MEANS}


def _plain_mean(values: Sequence[float | None], name: str) -> float | None:
    """Return the mean of `values`; None if there are no values or one of them is None.

    `values`: one value for each of several independent parts (tasks, or clusters of items). If `name` ends in "stderr",
    the values are standard errors, and the result is the standard error of the mean over the parts.
    """
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not values:
        return None
    return math.sqrt(math.fsum(value**2 for value in known)) / len(known) if name.endswith("stderr") else mean(known)


def _means(tasks: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return the entry of scores.json for several tasks: unweighted means, their standard errors, and summed counts.

    Tasks are independent, so the variances of their scores add up. Items count as independent here, even where `gra
    compare` resamples clusters.
    """
    found: dict[str, float | None] = {"n": sum(task["n"] for task in tasks)}
    found |= {name: _plain_mean([task[name] for task in tasks], name) for name in _MEANS}
    known = [task for task in tasks if task["at_limit"] is not None]
    return found | {
        name: sum(task[name] for task in known) if known or name != "at_limit" else None for name in _COUNTS
    }
