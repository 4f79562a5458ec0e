"""PURE: arranges the item scores of arms into tables for the bootstrap; refuses arms with different items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gra.errors import EvalError

Floats = NDArray[np.float64]
FEW_CLUSTERS = 20  # a benchmark with fewer clusters is drawn by item, see bootstrap.py


@dataclass(frozen=True)
class Outcomes:
    """The outcomes of one arm on one benchmark.

    `correct`: the outcomes, in the shape (replicates, items). `doc_ids`: the items' names. An item without an id is
    named by its position in the file. `replicates`: for each row of `correct`, the index that identifies its training
    run. All benchmarks of an arm have the same indices. `clusters`: each item's cluster. None means that items are
    independent. `answers`: the items' right answers, which show whether two files have the items in different orders.
    None means unknown.
    """

    doc_ids: tuple[str, ...]
    correct: Floats
    replicates: tuple[int, ...] = (0,)
    clusters: tuple[str, ...] | None = None
    answers: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        shape = (len(self.replicates), len(self.doc_ids))
        if self.correct.shape != shape:
            raise ValueError(
                f"`correct` has shape {self.correct.shape}, but `replicates` and `doc_ids` require {shape}"
            )
        if len(set(self.doc_ids)) != len(self.doc_ids):
            raise ValueError("`doc_ids` has an id more than once")
        if self.clusters is not None and len(self.clusters) != len(self.doc_ids):
            raise ValueError(f"`clusters` has {len(self.clusters)} entries for {len(self.doc_ids)} items")

    @property
    def clusters_drawn(self) -> int | None:
        """The number of clusters, if a resample draws whole clusters; None if it draws single items."""
        found = len(set(self.clusters)) if self.clusters is not None else 0
        return found if found >= FEW_CLUSTERS else None


def macro(one: Outcomes) -> Outcomes:
    """Return the outcomes, weighted so that every cluster of items counts equally in their mean. Outcomes without
    clusters are returned unchanged."""
    if one.clusters is None:
        return one
    names, place, sizes = np.unique(np.array(one.clusters), return_inverse=True, return_counts=True)
    weights = len(one.clusters) / (len(names) * sizes[place])
    return replace(one, correct=one.correct * weights)


@dataclass(frozen=True)
class Table:
    """One benchmark as a table for the bootstrap. `outcomes`: an array of shape (items, columns), with one column per
    training run. `member`: the index of each item's cluster. None means that the bootstrap draws single items."""

    doc_ids: list[str]
    outcomes: Floats
    member: NDArray[np.int64] | None


def table_of(one: Outcomes) -> Table:
    """Return the outcomes of one arm on one benchmark as a table. Its rows are sorted by the items' names, so the order
    of the items in a file has no effect."""
    order = sorted(range(len(one.doc_ids)), key=one.doc_ids.__getitem__)
    member = None
    if one.clusters is not None and one.clusters_drawn is not None:
        member = np.unique([one.clusters[place] for place in order], return_inverse=True)[1]
    return Table([one.doc_ids[place] for place in order], one.correct[:, order].T.astype(np.float64), member)


def matched(first: Mapping[str, Outcomes], second: Mapping[str, Outcomes]) -> dict[str, Table]:
    """Return a table for each benchmark with the outcomes of two arms. A table has one row per item. The first columns
    are the training runs of the first arm, the other columns those of the second arm.

    Raises EvalError if the arms have different benchmarks, items or clusters. The message gives the counts.
    """
    return joined([first, second])


def joined(arms: Sequence[Mapping[str, Outcomes]]) -> dict[str, Table]:
    """Return a table for each benchmark with the outcomes of any number of arms, as `matched` does for two arms. Raises
    EvalError if an arm has other benchmarks, items or clusters than the first arm."""
    first = arms[0]
    tables = {task: table_of(one) for task, one in first.items()}
    columns = {task: [table.outcomes] for task, table in tables.items()}
    for second in arms[1:]:
        _same_benchmarks(first, second)
        for task, one in first.items():
            _same_items(task, one, second[task])
            other = table_of(second[task])
            if not _same(tables[task].member, other.member):
                raise EvalError(
                    f"Benchmark {task}: the two arms group its items differently (by subject or sub-task)\n"
                    "    -> evaluate both arms with the same version of the benchmark"
                )
            columns[task].append(other.outcomes)
    return {
        task: Table(table.doc_ids, np.ascontiguousarray(np.concatenate(columns[task], axis=1)), table.member)
        for task, table in tables.items()
    }


def _same_benchmarks(first: Mapping[str, Outcomes], second: Mapping[str, Outcomes]) -> None:
    if set(first) != set(second) or not first:
        only_first, only_second = sorted(set(first) - set(second)), sorted(set(second) - set(first))
        raise EvalError(
            f"The arms share {len(set(first) & set(second))} benchmarks, but {len(only_first)} are only in the first "
            f"({', '.join(only_first) or 'none'}) and {len(only_second)} only in the second ({', '.join(only_second) or 'none'})"
            "\n    -> evaluate both arms on the same suite"
        )


def _same_items(task: str, one: Outcomes, other: Outcomes) -> None:
    alone = set(one.doc_ids) ^ set(other.doc_ids)
    if alone or not one.doc_ids:
        shared = len(set(one.doc_ids) & set(other.doc_ids))
        example = f" (for example {min(alone)!r} is in one only)" if alone else ""
        raise EvalError(
            f"Benchmark {task}: the arms' items do not match: {len(one.doc_ids)} items in the first, {len(other.doc_ids)} in "
            f"the second, {shared} shared{example}; a paired interval needs the same items"
            "\n    -> evaluate both arms on the same suite with the same limit"
        )
    if (task_answers := _answers(one)) and (others := _answers(other)) and task_answers != others:
        raise EvalError(answers_differ(task, task_answers, others))


def replicates_of(arm: Mapping[str, Outcomes]) -> tuple[int, ...]:
    """Return the numbers that identify the arm's training runs. Raises EvalError if its benchmarks have different
    numbers."""
    sets = {outcomes.replicates for outcomes in arm.values()}
    if len(sets) != 1:
        remedy = "evaluate every replicate on every benchmark"
        raise EvalError(f"The benchmarks of one arm have different replicates: {sorted(sets)}\n    -> {remedy}")
    return sets.pop()


def answers_differ(task: str, one: Mapping[str, str], other: Mapping[str, str]) -> str:
    """Return the error message for two arms whose items have the same names but different right answers. `one` and
    `other` map an item's name to its right answer."""
    count = sum(one[doc] != other[doc] for doc in one)
    return (
        f"Benchmark {task}: {count} of {len(one)} items have the same name in both runs but different right answers: the runs read "
        "different items, or the same items in another order\n    -> evaluate both on the same files"
    )


def _answers(one: Outcomes) -> dict[str, str]:
    return dict(zip(one.doc_ids, one.answers, strict=True)) if one.answers is not None else {}


def _same(one: NDArray[np.int64] | None, other: NDArray[np.int64] | None) -> bool:
    return one is other if one is None or other is None else np.array_equal(one, other)
