"""PURE: computes proportions and areas under the ROC curve (AUC), with 95 % intervals that remain valid if a question
has several items.

Items of one question (its right answer, the wrong ones made from it, each model's answer) are correlated. So variances
are computed from the sums over each question's items (for the AUC: Obuchowski 1997, Biometrics 53; for proportions: the
linearised ratio). If each question has one item, these variances equal the usual ones.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gra.intervals import normal, wilson

LEVEL = 0.95
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """An estimated number `value` with its confidence interval from `low` to `high`. `n`: the number of items from
    which it was estimated."""

    value: float
    low: float
    high: float
    n: int

    def holds(self, value: float) -> bool:
        """Return whether `value` lies in the interval."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"

    def data(self) -> dict[str, float | int]:
        """Return the estimate for JSON, rounded to 4 digits."""
        return {"value": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4), "n": self.n}


def data_of(found: Estimate | None) -> dict[str, float | int] | None:
    """Return the estimate for JSON; None if `found` is None."""
    return None if found is None else found.data()


def share(
    values: Sequence[float], questions: Sequence[Hashable] | None = None, level: float = LEVEL
) -> Estimate | None:
    """Return the mean of `values` with Wilson's confidence interval, or None if there are no values. Each value is
    between 0 and 1, and usually 0 or 1.

    `questions`: the question to which each value belongs. If it is None, each value belongs to a different question.
    Values of the same question are correlated. So the interval is computed for the effective number of independent
    items, which the function `worth` returns, not for the number of values.
    """
    if len(values) == 0:
        return None
    data = np.asarray(values, dtype=float)
    value = float(data.mean())
    units = worth(data, questions)
    low, high = wilson(value, units, normal(level))
    return Estimate(value, min(low, value), max(high, value), len(data))


def worth(values: Floats, questions: Sequence[Hashable] | None) -> float:
    """Return the effective number of independent items, between 1 and the number of values. The mean of that many
    independent items would have the same variance as the mean of `values`. This variance is estimated from the
    differences between questions."""
    count, value = len(values), float(values.mean())
    if questions is None:
        return float(count)
    member = _codes(questions)
    clusters = int(member.max()) + 1
    if clusters < 2:
        return 1.0
    sums = np.bincount(member, values - value)
    variance = clusters / (clusters - 1) * float((sums**2).sum()) / count**2
    if variance <= 0 or not 0 < value < 1:  # no variance can be measured, so every question counts as one item
        return float(clusters)
    return min(float(count), max(1.0, value * (1 - value) / variance))


def auc(
    scores: Sequence[float], right: Sequence[bool], questions: Sequence[Hashable] | None = None, level: float = LEVEL
) -> Estimate | None:
    """Return the area under the ROC curve (AUC) with its confidence interval. The AUC is the proportion of pairs of a
    right and a wrong answer in which the right answer scores higher. Ties count half. `right`: whether each answer is
    right. Return None if all answers are right or all are wrong. Raises ValueError if `scores` and `right` differ in
    length.

    The variance is DeLong's, summed by question (DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44; Obuchowski
    1997). The interval is symmetric in the log-odds, so it stays between 0 and 1. If the variance is 0, Wilson's
    interval is used, with the number of right answers or of wrong answers as sample size, whichever is smaller.
    """
    values, truth = np.asarray(scores, dtype=float), np.asarray(right, dtype=bool)
    if len(values) != len(truth):
        raise ValueError(f"{len(values)} scores, {len(truth)} labels")
    positive, negative = values[truth], values[~truth]
    m, n = len(positive), len(negative)
    if not m or not n:
        return None
    ranks = _midranks(values)
    above = (ranks[truth] - _midranks(positive)) / n  # per right answer: the share of wrong ones below it
    below = 1 - (ranks[~truth] - _midranks(negative)) / m  # per wrong answer: the share of right ones above it
    value = float(above.mean())
    parts = np.empty(len(values))
    parts[truth], parts[~truth] = (above - value) / m, (below - value) / n
    if questions is None:
        variance = float((parts[truth] ** 2).sum()) * m / max(1, m - 1) + float((parts[~truth] ** 2).sum()) * n / max(
            1, n - 1
        )
    else:
        sums = np.bincount(_codes(questions), parts)
        variance = float((sums**2).sum()) * len(sums) / max(1, len(sums) - 1)
    z = normal(level)
    if variance <= 1e-12 or not 0 < value < 1:
        low, high = wilson(value, min(m, n), z)
    else:
        centre, reach = math.log(value / (1 - value)), z * math.sqrt(variance) / (value * (1 - value))
        low, high = _logistic(centre - reach), _logistic(centre + reach)
    return Estimate(value, min(low, value), max(high, value), m + n)


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _midranks(values: Floats) -> Floats:
    """Return the ranks, from 1; equal values get their mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    found: Floats = (ends - (counts - 1) / 2.0)[places]
    return found


def _codes(names: Sequence[Hashable]) -> NDArray[np.int64]:
    known: dict[Any, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int64)
