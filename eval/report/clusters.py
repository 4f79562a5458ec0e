"""PURE: decides which items of a benchmark form a cluster: the questions on one subject, or of one sub-task. Intervals
are wider if results of the items of a cluster are correlated (gra/compare/statistics/bootstrap.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def clusters(task: str, subtask: str, samples: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """Return the cluster of each item; None for an item without a cluster.

    A cluster consists of the items that share a subject or a sub-task. Their results can be correlated.

    `samples`: lm-eval's samples. The key `doc` of each sample is the item.

    In a group of tasks, the cluster is the item's subject (MMLU's `subject`, MATH's `type`), or the leaf task if the
    item has no subject. In a single task, it is the subject; if all items have the same subject, they have no cluster.
    """
    docs = [sample["doc"] for sample in samples]
    found = [doc.get("subject") or (doc.get("type") if "solution" in doc else None) for doc in docs]
    if subtask != task:
        return [str(subject) if subject else subtask for subject in found]
    return [str(subject) if subject else None for subject in found] if len(set(found)) > 1 else [None] * len(found)
