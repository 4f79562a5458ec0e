"""PURE: estimates the error of a mean over benchmarks of an arm trained several times: variances, t intervals,
p-values.

An arm's score is a mean over R training runs and n items. Each training run shifts the score by training noise
(variance T: seeds of data, student and order), and answers some items right or wrong by luck (variance q of the run's
mean). Items may suit one recipe better than the other (variance J, shared by all training runs). The difference of two
arms has the variance

    J + (T_A + q_A) / R_A + (T_B + q_B) / R_B.

Three quantities can be observed. The variance of the items' paired differences, averaged over training runs, estimates
I = J + q_A / R_A + q_B / R_B. The variance of the training runs' means, s^2, estimates T + q. The disagreement of the
training runs item by item estimates q. Hence I + s_A^2 / R_A + s_B^2 / R_B would count q twice. The squared standard
error used here counts q once:

    SE^2 = I + max(0, (s_A^2 / c^2 - q_A) / R_A + (s_B^2 / c^2 - q_B) / R_B)

This is the two-way analysis of variance of training runs crossed with items (Searle, Casella and McCulloch 1992,
"Variance Components", chapter 4; Owen 2007, "The pigeonhole bootstrap", for the effect of counting twice). Training
runs are not paired by number: the seeds of two recipes share nothing. Where one arm was trained once, its T and q are
assumed to equal those of the other arm.

`c` is the ratio of the expected standard deviation of so few values to the true one (0.89 for two degrees of freedom,
0.97 for eight; Cureton 1968, The American Statistician 22), so s / c is right on average. It is needed because s^2 of
few training runs is below its mean more often than above, and an SE that is too small once is not offset by one that is
too large another time. Without `c`, the interval for two training runs of each arm covers the truth in less than 93 %
of cases if there is training noise.

The interval is SE times a quantile of Student's t on either side; the degrees of freedom are Satterthwaite's (1946,
Biometrics Bulletin 2; Welch 1947, Biometrika 34).

For the p-values of Holm's correction, Student's t is not enough. With ten benchmarks, a difference is significant only
if its p-value is below 0.5 %. An s^2 that is small by chance makes so small a p-value too likely: with two training
runs of each arm, up to 4 % of the tests reject "no difference" where it is true, not 0.5 %. `tail_p` averages the
p-value over the variances compatible with the observed s^2 (a generalized p-value: Tsui and Weerahandi 1989, JASA 84),
which keeps the rate of false rejections near 0.5 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gra.compare.statistics.item_scores import Floats, Table
from gra.compare.statistics.resampling import cluster_sums
from gra.intervals import student

LEAST = 2  # with fewer degrees of freedom, training noise is not estimated


@dataclass(frozen=True)
class Parts:
    """The means and variances of one benchmark, or of the unweighted mean over several benchmarks.

    `means`: the mean scores of every training run, for each of the two arms. If there is only one arm, the second entry
    is empty. `items`: the part of the variance of the difference (or of the only arm's mean) that is due to items or
    clusters. The module's docstring calls it I. `items_df`: the degrees of freedom of `items`. `luck`: for each arm,
    the variance of a training run's mean that arises because the run answers some items right or wrong by luck. The
    module's docstring calls it q. None means that the arm was trained once.
    """

    means: tuple[Floats, Floats]
    items: float
    items_df: float
    luck: tuple[float | None, float | None]

    @property
    def value(self) -> float:
        """The first arm's mean minus the second arm's; if there is only one arm, its mean."""
        first, second = self.means
        return float(first.mean()) - (float(second.mean()) if len(second) else 0.0)


@dataclass(frozen=True)
class Estimate:
    """An estimated difference or mean (`value`), with the parts of its squared standard error.

    `items`: the part that is due to items or clusters of items. `items_df`: the degrees of freedom of `items`. `seen`:
    the part that is due to training runs. It is the sum of s^2 / R over the arms, where s^2 is the variance between the
    means of an arm's R training runs. `seen_df`: the degrees of freedom of `seen`. `luck`: the part of `seen` that
    `items` already contains.
    """

    value: float
    items: float
    items_df: float
    seen: float
    seen_df: float
    luck: float

    @property
    def variance(self) -> float:
        """The squared standard error of the value."""
        return self.items + max(0.0, self._corrected - self.luck)

    @property
    def df(self) -> float:
        """Satterthwaite's degrees of freedom of `variance`; infinite if the variance is 0."""
        parts = self.items**2 / self.items_df
        if self._corrected > self.luck:
            parts += self._corrected**2 / self.seen_df
        return self.variance**2 / parts if parts > 0 else math.inf

    @property
    def _corrected(self) -> float:
        return self.seen / c4(self.seen_df) ** 2

    def reach(self, level: float) -> float:
        """Return half the width of the confidence interval. `level`: its confidence level, e.g. 0.95."""
        return math.sqrt(self.variance) * student(level, self.df)

    @property
    def p(self) -> float:
        """The two-sided p-value of "no difference". It is below 5 % exactly if the 95 % interval excludes 0."""
        if self.value == 0 or self.variance == 0:
            return 1.0 if self.value == 0 else 0.0
        return float(2 * _below(-abs(self.value) / np.sqrt(self.variance), self.df))

    @property
    def tail_p(self) -> float:
        """A two-sided p-value of "no difference" that is accurate even if it is very small. Holm's correction compares
        p-values with thresholds far below 5 %. The attribute `p`, a p-value from Student's t, falls below such
        thresholds too often when there is no difference. `tail_p` corrects this. The corrected value is never much
        below `p`."""
        if self.value == 0:
            return 1.0
        # Chi-squared over its degrees of freedom, by the midpoint rule on its logarithm: from 1e-12 to 40 times its mean.
        grid = np.linspace(math.log(1e-12), math.log(40), 401)
        share = np.exp((grid[1:] + grid[:-1]) / 2)
        half = self.seen_df / 2
        weights = np.exp(half * (np.log(half * share)) - half * share - math.lgamma(half)) * (grid[1] - grid[0])
        variances = self.items + np.maximum(0.0, self.seen / share - self.luck)
        with np.errstate(divide="ignore"):
            p = 2 * _below(-abs(self.value) / np.sqrt(variances), self.items_df)
        return float(min(1.0, (p * weights).sum() / weights.sum()))


def c4(df: float) -> float:
    """Return the constant c4 for `df` degrees of freedom. It is the expected standard deviation of a sample, divided by
    the true standard deviation."""
    return math.sqrt(2 / df) * math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2))


def _below(value: Any, df: float) -> Any:
    """The distribution function of Student's t."""
    from scipy import special  # imported late: it is slow, and runs trained once do not need it

    return special.stdtr(min(df, 1e9), value)


def known(first: int, second: int | None) -> bool:
    """Return whether there are enough training runs to estimate training noise. `first`, `second`: the numbers of
    training runs of the two arms. If there is only one arm, `second` is None."""
    return first - 1 + (0 if second is None else second - 1) >= LEAST


def measure(table: Table, first: int) -> Parts:
    """Return the means and variances of one benchmark. A column of the table is a training run. `first`: how many
    columns belong to the first arm. All columns after these belong to the second arm.

    If the table has clusters, a mean is the ratio of two sums over clusters (outcomes and items). The variances are
    then those of the linearised ratio.
    """
    means = table.outcomes.mean(axis=0)
    gaps = table.outcomes - means
    units = gaps if table.member is None else cluster_sums(gaps, table.member)[0]
    count, columns = units.shape
    scale = count / max(1, count - 1) / len(gaps) ** 2
    products = units.T @ units * scale  # covariances between training runs: enough for all that follows
    luck: list[float | None] = []
    for side in (slice(0, first), slice(first, columns)):
        own = products[side, side]
        trained = len(own)
        luck.append(max(0.0, float(own.trace() - own.sum() / trained)) / (trained - 1) if trained > 1 else None)
    signs = np.repeat([1 / first, -1 / max(1, columns - first)], [first, columns - first])
    items = max(0.0, float(signs @ products @ signs))
    return Parts((means[:first], means[first:]), items, max(1, count - 1), (luck[0], luck[1]))


def mean_of(parts: Sequence[Parts]) -> Parts:
    """Return the means and variances of the unweighted mean over benchmarks. Items of different benchmarks are taken to
    be independent."""
    count = len(parts)
    items = sum(one.items for one in parts) / count**2
    spread = sum((one.items / count**2) ** 2 / one.items_df for one in parts)
    luck = []
    for side in (0, 1):
        found = [one.luck[side] for one in parts]
        luck.append(sum(value for value in found if value is not None) / count**2 if None not in found else None)
    means = [np.mean([one.means[side] for one in parts], axis=0) for side in (0, 1)]
    return Parts((means[0], means[1]), items, items**2 / spread if spread > 0 else math.inf, (luck[0], luck[1]))


def estimate(parts: Parts) -> Estimate:
    """Return the difference of two arms, or the mean of one arm, with its standard error over items and training runs.
    Call this function only if the function `known` returns true for the numbers of training runs."""
    arms = [(means, luck) for means, luck in zip(parts.means, parts.luck, strict=True) if len(means)]
    trained = [(float(means.var(ddof=1)), luck, len(means)) for means, luck in arms if luck is not None]
    if len(trained) < len(arms):  # the other arm was trained once: its noise is assumed to equal this one's
        ((spread, luck, count),) = trained
        weight = 1 / count + 1
        return Estimate(parts.value, parts.items, parts.items_df, spread * weight, count - 1, luck * weight)
    seen = sum(spread / count for spread, _, count in trained)
    least = min(count for _, _, count in trained) - 1
    parts_of_df = sum((spread / count) ** 2 / (count - 1) for spread, _, count in trained)
    df = seen**2 / parts_of_df if parts_of_df > 0 else float(least)
    return Estimate(parts.value, parts.items, parts.items_df, seen, df, sum(luck / count for _, luck, count in trained))
