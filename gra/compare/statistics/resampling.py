"""PURE: resamples test items, or whole clusters of them, with the trained models held fixed. Needs only NumPy.

The statistic of a resample depends only on how often each *distinct* pattern of outcomes is drawn. These counts have a
multinomial distribution, from which they are drawn directly. 0/1 outcomes of two models have four patterns, so a
resample costs four numbers instead of one per item. The distribution is the same as for drawing items, at about a
thousandth of the cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gra.compare.statistics.item_scores import Floats, Table

CHUNK = 4_000_000  # numbers held at once while resampling (32 MB)


def resample(
    tables: Mapping[str, Table], first: int, resamples: int, seed: int
) -> tuple[dict[str, float], dict[str, Floats]]:
    """Return the statistic of all items, and the statistic of every resample, each as a mapping by benchmark.

    A table has a row per item and a column per training run. The columns of the first arm precede those of the second.
    `first`: the number of columns of the first arm. The statistic is the mean of the first arm's columns minus the mean
    of the second arm's columns. If there is no second arm, the statistic is the first arm's mean. A resample draws
    items of the benchmark with replacement. If the table has clusters, it draws whole clusters.

    Swapping the two arms changes the sign of every statistic exactly. Equal arms give zeros.
    """
    values: dict[str, float] = {}
    drawn: dict[str, Floats] = {}
    for place, task in enumerate(sorted(tables)):
        table = tables[task]
        sides = [side for side in (table.outcomes[:, :first], table.outcomes[:, first:]) if side.shape[1]]
        means = np.stack([side.mean(axis=1) for side in sides], axis=1)
        signs = np.array([1.0, -1.0])[: len(sides)]
        values[task] = float((means.mean(axis=0) * signs).sum())
        units, sizes = (means, None) if table.member is None else cluster_sums(means, table.member)
        drawn[task] = _resample(units, sizes, signs, resamples, np.random.default_rng([seed, 2, place]))
    return values, drawn


def over(tasks: Sequence[str], values: Mapping[str, float], drawn: Mapping[str, Floats]) -> tuple[float, Floats]:
    """Return the statistic of all items, and the statistic of every resample, as unweighted means over the benchmarks
    `tasks`. `values` and `drawn` are the two results of `resample`."""
    # Sums of +-1/n in another order differ in the last bits; without rounding, exact ties with zero would be lost.
    resampled = np.round(np.stack([drawn[task] for task in tasks]).mean(axis=0), 12) + 0.0
    return sum(values[task] for task in tasks) / len(tasks) + 0.0, resampled


def quantiles(drawn: Floats, level: float) -> tuple[float, float]:
    """Return the percentile interval of the resampled statistics `drawn`. Source: Efron and Tibshirani 1993, "An
    Introduction to the Bootstrap", section 13.3."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def p_value(drawn: Floats) -> float:
    """Return the two-sided p-value of "no difference". It is twice the fraction of resamples below zero or twice the
    fraction above zero, whichever is smaller.

    A resample that is exactly zero counts on both sides. One is added to the numerator and to the denominator of the
    fraction, so the p-value is never 0 (Davison and Hinkley 1997, section 4.2).
    """
    below, above = int((drawn <= 0).sum()), int((drawn >= 0).sum())
    return min(1.0, 2 * (min(below, above) + 1) / (len(drawn) + 1))


def least_resamples(family: int, level: float) -> int:
    """Return the smallest number of resamples with which a difference can be significant after Holm's correction. With
    fewer resamples, even the smallest possible p-value, 2 / (resamples + 1), is too large. `family`: the number of
    tests. `level`: the confidence level, e.g. 0.95. The adjusted p-value of a significant difference is at most 1 -
    `level`."""
    return int(np.ceil(round(2 * family / (1 - level), 9))) - 1


def cluster_sums(outcomes: Floats, member: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return two arrays with one entry per cluster. The first array has the sum of the outcomes of the cluster's items,
    for every column of `outcomes`. The second array has the number of items in the cluster."""
    sizes = np.bincount(member).astype(np.float64)
    sums: Floats = np.stack([np.bincount(member, column) for column in outcomes.T], axis=1).astype(np.float64)
    return sums, sizes


def _resample(units: Floats, sizes: Floats | None, signs: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """The statistic of every resample.

    `units`: an array of shape (items or clusters, columns). `sizes`: number of items of each cluster; None if a unit is
    an item. `signs`: the factor of each column, 1 or -1.
    """
    table = units if sizes is None else np.concatenate([units, sizes[:, None]], axis=1)
    patterns, counts = _patterns(table)
    result = np.empty(resamples)
    step = max(1, CHUNK // len(patterns))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        sums = rng.multinomial(len(units), counts / len(units), size=size).astype(np.float64) @ patterns
        shares = sums / len(units) if sizes is None else sums[:, :-1] / sums[:, -1:]
        result[start : start + size] = (shares * signs).sum(axis=1)
    return result


def _patterns(table: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The distinct rows and their counts, in order of first appearance. The order does not depend on the values, so
    swapped arms get the same draws."""
    codes = np.zeros(len(table), dtype=np.int64)
    for column in table.T:  # several times faster than np.unique over rows
        values, places = np.unique(column, return_inverse=True)
        codes = np.unique(codes * len(values) + places, return_inverse=True)[1]
    _, first, counts = np.unique(codes, return_index=True, return_counts=True)
    order = np.argsort(first)
    return table[first[order]], counts[order]
