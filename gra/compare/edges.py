"""PURE: intervals where nearly all items come out alike (0 of 164, 20 of 20, two arms that differ on three items).

Resampling cannot draw what it has not seen: of 0 right answers in 164 it makes the interval [0, 0], though a model that is right
one time in a hundred often shows none. Where fewer than FEW items stand out from the rest:

- a share gets Wilson's score interval (Wilson 1927, JASA 22; Brown, Cai and DasGupta 2001, Statistical Science 16);
- a paired difference gets Bonett and Price's interval, which adds one item that only the first arm has right and one that only
  the second has (Bonett and Price 2012, British Journal of Mathematical and Statistical Psychology 65), and McNemar's exact
  p-value (the sign test on the items that differ);
- a mean over benchmarks is widened by what such a benchmark adds, as the square of its half width: the method of variance
  estimates recovery (Zou and Donner 2008, Statistics in Medicine 27).

Of clustered items, the number of units is that of independent items which would vary as much; of clusters that are all alike, it is
the number of clusters. With several trainings a share's interval is Wilson's with the number of items that would give the same
standard error (as of complex samples: Franco, Little, Louis and Slud 2019, Journal of Survey Statistics and Methodology 7), so it
stays within 0 to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from gra.compare.outcomes import Floats, Table
from gra.compare.trainings import measure
from gra.intervals import normal, wilson

FEW = 20  # items that stand out, below which resampling them is not trusted


@dataclass(frozen=True)
class Edge:
    """A benchmark with few items that stand out: `low` and `high`, the two-sided `p` of a difference (1 for a share), and `extra`,
    the variance that this adds to a mean over benchmarks beyond what its items show."""

    low: float
    high: float
    p: float
    extra: float


def edge(table: Table, first: int, level: float, *, share: bool) -> Edge | None:
    """The interval of a benchmark whose items nearly all come out alike; None where resampling serves.

    `share`: the table has one arm, whose outcomes lie between 0 and 1; else the statistic is a difference: of the `first` columns'
    mean and the others', or of the outcomes themselves, which are differences already.
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
    """How many independent items give the share `value` this variance; the `units` there are where nothing varies."""
    return value * (1 - value) / variance if variance > 0 and 0 < value < 1 else float(units)


def bonett_price(gaps: Floats, units: float) -> tuple[float, float]:
    """Centre and variance of the mean of paired differences, one added at +1 and one at -1 to `units` of them."""
    square = (float((gaps**2).mean()) * units + 2) / (units + 2)
    centre = float(gaps.mean()) * units / (units + 2)
    return centre, (square - centre**2) / (units + 2)


def sign_test(gaps: Floats) -> float:
    """McNemar's exact two-sided p-value: as many items or fewer in favour of the weaker arm, were both alike. Binomial, 1/2."""
    above, below = int((gaps > 0).sum()), int((gaps < 0).sum())
    count = above + below
    return min(1.0, 2 * sum(math.comb(count, k) for k in range(min(above, below) + 1)) / 2**count)


def _units(table: Table, spread: float, seen: float) -> float:
    """How many independent items the table is worth, whose items have the variance `spread` and their mean that of `seen`."""
    if table.member is None:
        return len(table.outcomes)
    clusters = len(np.unique(table.member))
    return min(len(table.outcomes), max(clusters, spread / seen)) if seen > 0 else clusters
