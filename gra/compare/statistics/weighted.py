"""PURE: the analysis of variance of trainings.py for any weighted sum of arms, such as the mean of three arms minus the
mean of three others.

All arms answered the same items, so an item's weighted sum over the arms is one number, and items are drawn jointly. An
arm with weight w, R training runs and the variances T and q of trainings.py adds w^2 (T + q) / R to the variance; the
items' variance already contains the part with q. With weights 1 and -1 the result is that of trainings.py. The arms are
not taken as a sample of arms: if three arms are three seed sets, the interval says nothing about a fourth seed set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gra.compare.statistics.item_scores import Floats, Table
from gra.compare.statistics.resampling import cluster_sums
from gra.compare.statistics.trainings import LEAST, Estimate


@dataclass(frozen=True)
class Pieces:
    """The means of the arms' training runs, and the parts of the variance of a weighted sum of the arms' means. They
    concern one benchmark, or the unweighted mean over several benchmarks.

    `means`: for each arm, the mean score of each training run. `items`: the part of the variance that comes from the
    choice of items. `items_df`: the degrees of freedom of `items`. `luck`: for each arm, the variance of a run's mean
    that comes from items whose result changes from one training run to the next (q in trainings.py). It is None for an
    arm with one training run.
    """

    means: tuple[Floats, ...]
    items: float
    items_df: float
    luck: tuple[float | None, ...]


def known(counts: Sequence[int]) -> bool:
    """Return whether there are enough training runs to estimate training noise. `counts`: the number of training runs
    of each arm."""
    return sum(count - 1 for count in counts) >= LEAST


def measure(table: Table, counts: Sequence[int], weights: Sequence[float]) -> Pieces:
    """Return the means and variances of one benchmark. The table's columns are the training runs, arm after arm.
    `counts`: the number of training runs of each arm."""
    means = table.outcomes.mean(axis=0)
    gaps = table.outcomes - means
    units = gaps if table.member is None else cluster_sums(gaps, table.member)[0]
    count = len(units)
    products = units.T @ units * (count / max(1, count - 1) / len(gaps) ** 2)
    ends = np.cumsum([0, *counts])
    sides = [slice(int(a), int(b)) for a, b in pairwise(ends)]
    luck: list[float | None] = []
    for side, trained in zip(sides, counts, strict=True):
        own = products[side, side]
        luck.append(max(0.0, float(own.trace() - own.sum() / trained)) / (trained - 1) if trained > 1 else None)
    signs = np.concatenate(
        [np.full(trained, weight / trained) for trained, weight in zip(counts, weights, strict=True)]
    )
    items = max(0.0, float(signs @ products @ signs))
    return Pieces(tuple(means[side] for side in sides), items, max(1, count - 1), tuple(luck))


def mean_of(pieces: Sequence[Pieces]) -> Pieces:
    """Return the means and variances of the unweighted mean over benchmarks. Items of different benchmarks are taken to
    be independent."""
    count = len(pieces)
    items = sum(one.items for one in pieces) / count**2
    spread = sum((one.items / count**2) ** 2 / one.items_df for one in pieces)
    luck = [
        None if None in found else sum(value for value in found if value is not None) / count**2
        for found in zip(*(one.luck for one in pieces), strict=True)
    ]
    means = tuple(np.mean(found, axis=0) for found in zip(*(one.means for one in pieces), strict=True))
    return Pieces(means, items, items**2 / spread if spread > 0 else math.inf, tuple(luck))


def estimate(pieces: Pieces, weights: Sequence[float]) -> Estimate:
    """Return the weighted sum of the arms' means, with its standard error over items and training runs. Call this
    function only if the function `known` returns true for the numbers of training runs. If an arm was trained once, its
    noise is assumed to equal the mean noise of the other arms."""
    value = sum(weight * float(means.mean()) for weight, means in zip(weights, pieces.means, strict=True))
    several = [place for place, means in enumerate(pieces.means) if len(means) > 1]
    once = sum(weights[place] ** 2 for place, means in enumerate(pieces.means) if len(means) == 1) / len(several)
    seen, luck, spread = 0.0, 0.0, 0.0
    for place in several:
        means, own = pieces.means[place], pieces.luck[place]
        factor = weights[place] ** 2 / len(means) + once
        part = factor * float(means.var(ddof=1))
        seen, luck = seen + part, luck + factor * (own or 0.0)
        spread += part**2 / (len(means) - 1)
    least = min(len(pieces.means[place]) for place in several) - 1
    return Estimate(value, pieces.items, pieces.items_df, seen, seen**2 / spread if spread > 0 else float(least), luck)
