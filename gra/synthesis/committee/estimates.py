"""PURE: shares and areas under the ROC curve with 95 % intervals, of items that may come several from one question.

Items of one question (its right answer, the wrong ones made of it, what each model answered) stand or fall together. So variances
are those of sums over questions (Obuchowski 1997, Biometrics 53, for the area; the linearised ratio for shares), and where items
are independent they are the usual ones.
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
    """A number with its interval; `n`: the items that it rests on."""

    value: float
    low: float
    high: float
    n: int

    def holds(self, value: float) -> bool:
        """Whether `value` lies in the interval."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"

    def data(self) -> dict[str, float | int]:
        """For JSON, rounded to 4 digits."""
        return {"value": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4), "n": self.n}


def data_of(found: Estimate | None) -> dict[str, float | int] | None:
    """`found` for JSON; None where there is no estimate."""
    return None if found is None else found.data()


def share(values: Sequence[float], questions: Sequence[Hashable] | None = None, level: float = LEVEL) -> Estimate | None:
    """The mean of `values` between 0 and 1 (mostly 0 or 1) with Wilson's interval; None of nothing.

    `questions`: which question each value belongs to; None: each to its own. The interval is that of as many independent items as
    would give the mean the variance that it has over questions, and never of more than there are.
    """
    if len(values) == 0:
        return None
    data = np.asarray(values, dtype=float)
    value = float(data.mean())
    units = worth(data, questions)
    low, high = wilson(value, units, normal(level))
    return Estimate(value, min(low, value), max(high, value), len(data))


def worth(values: Floats, questions: Sequence[Hashable] | None) -> float:
    """How many independent items the mean of `values` rests on; at least 1, at most as many as there are."""
    count, value = len(values), float(values.mean())
    if questions is None:
        return float(count)
    member = _codes(questions)
    clusters = int(member.max()) + 1
    if clusters < 2:
        return 1.0
    sums = np.bincount(member, values - value)
    variance = clusters / (clusters - 1) * float((sums**2).sum()) / count**2
    if variance <= 0 or not 0 < value < 1:  # nothing varies: what can be said is how many questions there are
        return float(clusters)
    return min(float(count), max(1.0, value * (1 - value) / variance))


def auc(
    scores: Sequence[float], right: Sequence[bool], questions: Sequence[Hashable] | None = None, level: float = LEVEL
) -> Estimate | None:
    """How often a right answer gets a higher score than a wrong one, ties counting half; None where a class is empty.

    The variance is DeLong's, summed by question (DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44; Obuchowski 1997); the
    interval is symmetric in the log-odds, so it stays within 0 to 1. Where nothing varies (all pairs alike), it is Wilson's with
    the size of the smaller class.
    """
    values, truth = np.asarray(scores, dtype=float), np.asarray(right, dtype=bool)
    if len(values) != len(truth):
        raise ValueError(f"{len(values)} scores, {len(truth)} labels")
    positive, negative = values[truth], values[~truth]
    m, n = len(positive), len(negative)
    if not m or not n:
        return None
    ranks = _midranks(values)
    above = (ranks[truth] - _midranks(positive)) / n  # of each right answer: the share of wrong ones below it
    below = 1 - (ranks[~truth] - _midranks(negative)) / m  # of each wrong answer: the share of right ones above it
    value = float(above.mean())
    parts = np.empty(len(values))
    parts[truth], parts[~truth] = (above - value) / m, (below - value) / n
    if questions is None:
        variance = float((parts[truth] ** 2).sum()) * m / max(1, m - 1) + float((parts[~truth] ** 2).sum()) * n / max(1, n - 1)
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
    """Ranks from 1, equal values sharing the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    found: Floats = (ends - (counts - 1) / 2.0)[places]
    return found


def _codes(names: Sequence[Hashable]) -> NDArray[np.int64]:
    known: dict[Any, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int64)
