"""PURE: computes intervals where nearly all items have the same outcome (0 of 164 right, 20 of 20 right, two arms that
differ on three items only).

Resampling cannot draw what was not observed: 0 right answers of 164 give the interval [0, 0], although a model that
answers one question in a hundred correctly often gets none of 164 right. Where fewer than FEW items have an outcome
other than the most frequent one:

- a fraction of right answers gets Wilson's score interval (Wilson 1927, JASA 22; Brown, Cai and DasGupta 2001,
  Statistical Science 16);
- a paired difference gets Bonett and Price's interval, which adds one item that only the first arm has right and one
  that only the second has (Bonett and Price 2012, British Journal of Mathematical and Statistical Psychology 65), and
  McNemar's exact p-value (the sign test on the items that differ);
- in the interval of a mean over benchmarks, such a benchmark counts with the variance that its own interval implies, if
  that is larger than the variance of its items ("method of variance estimates recovery": Zou and Donner 2008,
  Statistics in Medicine 27).

These intervals are computed for a number of independent items. For clustered items, this is the number of independent
items that would give the same variance; if all clusters have the same outcome, it is the number of clusters. With
several training runs, a fraction of right answers gets Wilson's interval for the number of independent items that would
give the same standard error (as for complex samples: Franco, Little, Louis and Slud 2019, Journal of Survey Statistics
and Methodology 7); so the interval stays between 0 and 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from gra.compare.statistics.item_scores import Floats, Table
from gra.compare.statistics.trainings import measure
from gra.intervals import normal, wilson

FEW = 20  # if fewer items differ from the most frequent outcome, resampling is not trusted


@dataclass(frozen=True)
class Edge:
    """The interval of a benchmark whose items nearly all have the same outcome, from `low` to `high`.

    `p`: the two-sided p-value of a difference. If the statistic is a fraction of right answers, `p` is 1. `extra`: what
    is added to the benchmark's variance over items when a mean over benchmarks is computed.
    """

    low: float
    high: float
    p: float
    extra: float


def edge(table: Table, first: int, level: float, *, share: bool) -> Edge | None:
    """Return the interval of a benchmark whose items nearly all have the same outcome. Return None for any other
    benchmark, because resampling works for it.

    `first`: the number of columns that belong to the first arm. `share`: true if the table has only one arm, with
    outcomes between 0 and 1. The statistic is then a fraction of right answers. If `share` is false, the statistic is a
    difference: the mean of the first arm's columns minus the mean of the other columns. If there are no other columns,
    the outcomes are differences already, and the statistic is their mean.
    """
    own = table.outcomes[:, :first].mean(axis=1)
    other = table.outcomes[:, first:].mean(axis=1) if table.outcomes.shape[1] > first else np.zeros(len(own))
    gaps = own - other
    _, counts = np.unique(gaps, return_counts=True)
    if len(gaps) - int(counts.max()) >= FEW:
        return None
    seen = measure(table, first).items
    units = _units(table, float(gaps.var()), seen)
    value, z = float(own.mean() - other.mean()), normal(level)
    if share:
        low, high = wilson(value, units, z)
        added = (value * units + 2) / (units + 4)  # Agresti and Coull 1998, The American Statistician 52
        return Edge(low, high, 1.0, max(0.0, added * (1 - added) / (units + 4) - seen))
    centre, variance = bonett_price(gaps, units)
    reach = z * math.sqrt(variance)
    low, high = max(-1.0, centre - reach), min(1.0, centre + reach)
    p = sign_test(gaps) if units == len(gaps) else 2 * NormalDist().cdf(-abs(centre) / math.sqrt(variance))
    return Edge(min(value, low), max(value, high), p, max(0.0, variance - seen))


def effective(value: float, variance: float, units: float) -> float:
    """Return the effective number of items. This is the number of independent items with which a fraction of right
    answers of size `value` would have the sampling variance `variance`. Return `units` if the variance is 0, or if
    `value` is 0 or 1."""
    return value * (1 - value) / variance if variance > 0 and 0 < value < 1 else float(units)


def bonett_price(gaps: Floats, units: float) -> tuple[float, float]:
    """Return the centre and the variance of Bonett and Price's interval for a mean of paired differences. Before the
    mean is taken, one difference of +1 and one of -1 are added. `gaps`: the differences by item. `units`: the number of
    independent items."""
    square = (float((gaps**2).mean()) * units + 2) / (units + 2)
    centre = float(gaps.mean()) * units / (units + 2)
    return centre, (square - centre**2) / (units + 2)


def sign_test(gaps: Floats) -> float:
    """Return McNemar's exact two-sided p-value (binomial) of "no difference". `gaps`: the differences by item. The
    p-value is the probability, if the arms are equal, that positive and negative differences are divided at least as
    unevenly as in `gaps`."""
    above, below = int((gaps > 0).sum()), int((gaps < 0).sum())
    count = above + below
    return min(1.0, 2 * sum(math.comb(count, k) for k in range(min(above, below) + 1)) / 2**count)


def _units(table: Table, spread: float, seen: float) -> float:
    """The effective number of independent items of a table; `spread`: variance of its items, `seen`: variance of their
    mean."""
    if table.member is None:
        return len(table.outcomes)
    clusters = len(np.unique(table.member))
    return min(len(table.outcomes), max(clusters, spread / seen)) if seen > 0 else clusters
