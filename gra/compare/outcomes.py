"""PURE: what arms scored, item by item, put into tables that a bootstrap can draw from; unequal items are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gra.errors import EvalError

Floats = NDArray[np.float64]
FEW_CLUSTERS = 20  # a benchmark of fewer is drawn by item, see bootstrap.py


@dataclass(frozen=True)
class Outcomes:
    """What one arm scored on one benchmark: `correct` has shape (replicates, items), the items named by `doc_ids`.

    `replicates` are the training seeds' numbers, one per row of `correct`; all benchmarks of an arm have the same ones.
    `clusters` names each item's cluster; None where items stand alone. `answers`: the items' right answers, where known: items
    that have no name of their own are named by their place in a file, which another file may hold in another order.
    """

    doc_ids: tuple[str, ...]
    correct: Floats
    replicates: tuple[int, ...] = (0,)
    clusters: tuple[str, ...] | None = None
    answers: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        shape = (len(self.replicates), len(self.doc_ids))
        if self.correct.shape != shape:
            raise ValueError(f"correct has shape {self.correct.shape}, {shape} expected from replicates and doc_ids")
        if len(set(self.doc_ids)) != len(self.doc_ids):
            raise ValueError("doc_ids are not distinct")
        if self.clusters is not None and len(self.clusters) != len(self.doc_ids):
            raise ValueError(f"{len(self.clusters)} clusters of {len(self.doc_ids)} items")

    @property
    def clusters_drawn(self) -> int | None:
        """How many clusters a resample draws; None where it draws items."""
        found = len(set(self.clusters)) if self.clusters is not None else 0
        return found if found >= FEW_CLUSTERS else None


@dataclass(frozen=True)
class Table:
    """Outcomes of shape (items, columns), a column a replicate; `member` numbers the items' clusters, None to draw items."""

    doc_ids: list[str]
    outcomes: Floats
    member: NDArray[np.int64] | None


def table_of(one: Outcomes) -> Table:
    """The outcomes by the items' names in ascending order, so that the order in a file plays no part."""
    order = sorted(range(len(one.doc_ids)), key=one.doc_ids.__getitem__)
    member = None
    if one.clusters is not None and one.clusters_drawn is not None:
        member = np.unique([one.clusters[place] for place in order], return_inverse=True)[1]
    return Table([one.doc_ids[place] for place in order], one.correct[:, order].T.astype(np.float64), member)


def matched(first: Mapping[str, Outcomes], second: Mapping[str, Outcomes]) -> dict[str, Table]:
    """By benchmark: the shared items, their outcomes in the first arm and, in further columns, in the second.

    Raises EvalError where benchmarks, items or clusters differ, naming the counts.
    """
    if set(first) != set(second) or not first:
        only_first, only_second = sorted(set(first) - set(second)), sorted(set(second) - set(first))
        raise EvalError(
            f"The arms share {len(set(first) & set(second))} benchmarks, but {len(only_first)} are only in the first "
            f"({', '.join(only_first) or 'none'}) and {len(only_second)} only in the second ({', '.join(only_second) or 'none'}). "
            "Evaluate both arms on the same suite."
        )
    pairs = {}
    for task, one in first.items():
        other = second[task]
        alone = set(one.doc_ids) ^ set(other.doc_ids)
        if alone or not one.doc_ids:
            shared = len(set(one.doc_ids) & set(other.doc_ids))
            example = f" (for example {min(alone)!r} is in one only)" if alone else ""
            raise EvalError(
                f"Benchmark {task}: the arms' items do not match: {len(one.doc_ids)} items in the first, {len(other.doc_ids)} in "
                f"the second, {shared} shared{example}. "
                "A paired interval needs the same items: evaluate both arms on the same suite with the same limit."
            )
        if (task_answers := _answers(one)) and (others := _answers(other)) and task_answers != others:
            raise EvalError(unlike(task, task_answers, others))
        here, there = table_of(one), table_of(other)
        if not _same(here.member, there.member):
            raise EvalError(f"Benchmark {task}: the arms put its items into different clusters. Evaluate both with one version.")
        outcomes = np.ascontiguousarray(np.concatenate([here.outcomes, there.outcomes], axis=1))
        pairs[task] = Table(here.doc_ids, outcomes, here.member)
    return pairs


def replicates_of(arm: Mapping[str, Outcomes]) -> tuple[int, ...]:
    """The training seeds' numbers, which all benchmarks of an arm must share. Raises EvalError where they do not."""
    sets = {outcomes.replicates for outcomes in arm.values()}
    if len(sets) != 1:
        raise EvalError(f"The benchmarks of one arm have different replicates: {sorted(sets)}. Evaluate every replicate on all.")
    return sets.pop()


def unlike(task: str, one: Mapping[str, str], other: Mapping[str, str]) -> str:
    """What is said of items that go by one name and are not the same."""
    count = sum(one[doc] != other[doc] for doc in one)
    return (
        f"Benchmark {task}: {count} of {len(one)} items go by the same name in both, but have different right answers: the "
        "runs read other items, or the same in another order. Evaluate both on the same files."
    )


def _answers(one: Outcomes) -> dict[str, str]:
    return dict(zip(one.doc_ids, one.answers, strict=True)) if one.answers is not None else {}


def _same(one: NDArray[np.int64] | None, other: NDArray[np.int64] | None) -> bool:
    return one is other if one is None or other is None else np.array_equal(one, other)
