"""Paired bootstrap intervals for the difference between two arms that answered the same test items. Pure numpy.

The method, and where each part comes from:

- *Paired*: one resample of items serves both arms, so that what makes an item hard cancels out. Koehn 2004,
  "Statistical Significance Tests for Machine Translation Evaluation", section 3; Miller 2024 (arXiv 2411.00640), section 4.2.
- *Stratified*: items are drawn within each benchmark, whose size is fixed by design. Davison and Hinkley 1997,
  "Bootstrap Methods and their Application", section 3.2. The overall statistic is the plain mean over benchmarks.
- *Percentile interval*: the alpha/2 and 1 - alpha/2 quantiles of the resampled statistic. Efron and Tibshirani 1993,
  "An Introduction to the Bootstrap", section 13.3.
- *Two levels*: with several training seeds (replicates), seeds are drawn with replacement too, jointly with the items, as
  items and seeds are crossed. Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2).
- *Clusters*: where items come in groups that stand or fall together, whole groups are drawn. Cameron, Gelbach and
  Miller 2008, "Bootstrap-Based Improvements for Inference with Clustered Errors", section 3.1.

Limits. One replicate says nothing about training noise: the interval is then about these two models, not about the
recipes. Three replicates say little: a bootstrap of R values understates their variance by (R - 1) / R, a third at R = 3,
and its tails are only ten multisets, so such intervals are too narrow where training noise dominates. Owen's scheme errs the
other way on what is noise of one item under one seed. Simulated with a seed noise of 6 points, 95 % intervals held the truth in
91 % of 300 trials with 3 seeds and in 98 % with 10: take those of fewer than eight seeds with care.

Speed: what a resample does to the statistic depends only on how often each *distinct* pattern of outcomes is drawn, which
is multinomial. With 0/1 outcomes there are at most 2^(replicates of both arms) patterns, so a resample costs that many
numbers, not one per item: the same distribution as drawing items, some thousand times cheaper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gra.errors import EvalError

Floats = NDArray[np.float64]
CHUNK = 4_000_000  # numbers held at once while resampling (32 MB)
RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Outcomes:
    """What one arm scored on one benchmark: `correct` has shape (replicates, items), the items named by `doc_ids`.

    `replicates` are the training seeds' numbers, one per row of `correct`; all benchmarks of an arm have the same ones.
    """

    doc_ids: tuple[str, ...]
    correct: Floats
    replicates: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        shape = (len(self.replicates), len(self.doc_ids))
        if self.correct.shape != shape:
            raise ValueError(f"correct has shape {self.correct.shape}, {shape} expected from replicates and doc_ids")
        if len(set(self.doc_ids)) != len(self.doc_ids):
            raise ValueError("doc_ids are not distinct")


@dataclass(frozen=True)
class Interval:
    """A difference with its percentile interval, all in the unit of the outcomes (shares, 0..1).

    `p` is the two-sided bootstrap p-value of "no difference"; never 0, since resamples are finite.
    """

    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Difference:
    """First arm minus second: of the mean over benchmarks, and by benchmark. `paired` says if replicates were matched."""

    mean: Interval
    tasks: dict[str, Interval]
    resamples: int
    level: float
    replicates: tuple[int, int]
    paired: bool


def paired_bootstrap(
    first: Mapping[str, Outcomes],
    second: Mapping[str, Outcomes],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
    clusters: Mapping[str, Mapping[str, str]] | None = None,
) -> Difference:
    """The difference `first` minus `second` with intervals; both map a benchmark to what was scored on it.

    Items are matched by (benchmark, doc_id), whatever their order. Replicates with the same numbers in both arms are
    matched too (seed r of one against seed r of the other, which is valid whether or not they share anything); else each
    arm's are drawn by themselves. `clusters` maps a benchmark to {doc_id: cluster}; benchmarks not in it are drawn by item.
    Swapping the arms negates every number exactly, and identical arms give zeros.

    Raises EvalError where benchmarks or items differ, naming the counts.
    """
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(f"resamples={resamples} and level={level}: at least 1, and between 0 and 1, expected")
    pairs = _match(first, second)
    ids_first, ids_second = _replicates(first), _replicates(second)
    paired = ids_first == ids_second
    draws = _replicate_weights(ids_first, resamples, seed)
    weights = np.concatenate([draws, -(draws if paired else _replicate_weights(ids_second, resamples, seed))], axis=1)

    values: dict[str, float] = {}
    drawn: dict[str, Floats] = {}
    for place, task in enumerate(sorted(pairs)):
        doc_ids, outcomes = pairs[task]
        groups = (clusters or {}).get(task)
        units, sizes = (outcomes, None) if groups is None else _cluster_sums(task, doc_ids, outcomes, groups)
        means = outcomes.mean(axis=0)
        values[task] = float(means[: len(ids_first)].mean() - means[len(ids_first) :].mean())
        rng = np.random.default_rng([seed, 2, place])
        drawn[task] = _resample(units, sizes, weights, rng)
    tasks = {task: _interval(values[task], drawn[task], level) for task in first}
    overall = sum(drawn.values()) / len(drawn)
    assert isinstance(overall, np.ndarray)
    mean = _interval(sum(values.values()) / len(values), overall, level)
    return Difference(mean, tasks, resamples, level, (len(ids_first), len(ids_second)), paired)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down adjustment of p-values, which bounds the chance of any false finding among them.

    With m p-values in ascending order, the i-th (from 0) becomes the largest of (m - j) * p_j over j <= i, at most 1.
    Source: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6.
    """
    adjusted: dict[str, float] = {}
    running = 0.0
    for rank, key in enumerate(sorted(p_values, key=lambda k: (p_values[k], k))):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[key]))
        adjusted[key] = running
    return {key: adjusted[key] for key in p_values}


def _match(
    first: Mapping[str, Outcomes], second: Mapping[str, Outcomes]
) -> dict[str, tuple[list[str], Floats]]:  # fmt: skip
    """By benchmark: the shared doc_ids in sorted order, and outcomes of shape (items, replicates of first + of second)."""
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
        order = sorted(range(len(one.doc_ids)), key=one.doc_ids.__getitem__)
        place = {doc: index for index, doc in enumerate(other.doc_ids)}
        doc_ids = [one.doc_ids[index] for index in order]
        columns = [one.correct[:, order].T, other.correct[:, [place[doc] for doc in doc_ids]].T]
        pairs[task] = (doc_ids, np.ascontiguousarray(np.concatenate(columns, axis=1), dtype=np.float64))
    return pairs


def _replicates(arm: Mapping[str, Outcomes]) -> tuple[int, ...]:
    sets = {outcomes.replicates for outcomes in arm.values()}
    if len(sets) != 1:
        raise EvalError(f"The benchmarks of one arm have different replicates: {sorted(sets)}. Evaluate every replicate on all.")
    return sets.pop()


def _replicate_weights(replicates: tuple[int, ...], resamples: int, seed: int) -> Floats:
    """(resamples, R) weights of the replicates in each resample. Their stream depends on their numbers, not on the side
    they stand on, so that swapping the arms swaps the draws as well."""
    count = len(replicates)
    rng = np.random.default_rng([seed, 1, *(number % 2**32 for number in replicates)])
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples) / count


def _cluster_sums(
    task: str, doc_ids: Sequence[str], outcomes: Floats, groups: Mapping[str, str]
) -> tuple[Floats, Floats]:  # fmt: skip
    """Sums of the outcomes by cluster, and the clusters' sizes."""
    without = [doc for doc in doc_ids if doc not in groups]
    if without:
        raise EvalError(f"Benchmark {task}: {len(without)} of {len(doc_ids)} items are in no cluster (first: {without[0]!r}).")
    _, member = np.unique([groups[doc] for doc in doc_ids], return_inverse=True)
    sizes = np.bincount(member).astype(np.float64)
    sums = np.zeros((len(sizes), outcomes.shape[1]))
    np.add.at(sums, member, outcomes)
    return sums, sizes


def _resample(units: Floats, sizes: Floats | None, weights: Floats, rng: np.random.Generator) -> Floats:
    """The statistic of every resample.

    `units`: (items or clusters, columns); `sizes`: items per cluster, None where a unit is an item; `weights`: (resamples,
    columns), positive for the first arm's replicates and negative for the second's.
    """
    table = units if sizes is None else np.concatenate([units, sizes[:, None]], axis=1)
    patterns, counts = _patterns(table)
    result = np.empty(len(weights))
    step = max(1, CHUNK // len(patterns))
    for start in range(0, len(weights), step):
        chunk = weights[start : start + step]
        drawn = rng.multinomial(len(units), counts / len(units), size=len(chunk)).astype(np.float64)
        sums = drawn @ patterns
        if sizes is None:
            result[start : start + step] = (sums / len(units) * chunk).sum(axis=1)
        else:
            result[start : start + step] = (sums[:, :-1] / sums[:, -1:] * chunk).sum(axis=1)
    return result


def _patterns(table: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The distinct rows and how often each occurs, in order of first appearance: an order that does not depend on the
    values, so that swapped arms are drawn alike."""
    patterns, first, counts = np.unique(table, axis=0, return_index=True, return_counts=True)
    order = np.argsort(first)
    return patterns[order], counts[order]


def _interval(value: float, drawn: Floats, level: float) -> Interval:
    """Percentile interval, and the two-sided p-value that belongs to it: twice the smaller share of resamples on either
    side of zero, each counted with one added (Davison and Hinkley 1997, section 4.2). Ties with zero count on both sides."""
    # Sums of +-1/n in another order differ in the last bits: without rounding, exact ties with zero would be lost.
    drawn = np.round(drawn, 12) + 0.0
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    below, above = int((drawn <= 0).sum()), int((drawn >= 0).sum())
    p = min(1.0, 2 * (min(below, above) + 1) / (len(drawn) + 1))
    return Interval(value=value + 0.0, low=float(low), high=float(high), p=p)
