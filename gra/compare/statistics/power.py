"""PURE: how small a difference a comparison can detect, and how many items and training runs a given difference needs.

*Minimum detectable effect*: the true difference for which a two-sided test at the interval's level rejects "no
difference" with a probability of 80 %. With the standard error SE and its degrees of freedom,

    MDE = (t_level + t_power) * SE = half width * (1 + t_power / t_level)

(Bloom 1995, "Minimum Detectable Effects", Evaluation Review 19; t_level is the two-sided quantile at the level, t_power
the one-sided quantile at 80 %; with many degrees of freedom the MDE is 1.96 + 0.84 = 2.80 standard errors).

*Before a run*, SE is predicted from: K benchmarks, each with n items and a fraction p of right answers; R training runs
of each arm; `noise`, the standard deviation of an arm's mean over benchmarks between training runs, without the part
that finitely many items cause; and two correlations over items between the outcomes (right or wrong) of two training
runs: `within`, if both runs belong to one arm, and `between`, if they belong to different arms. In each benchmark, each
arm is averaged over its R training runs. The paired difference between these averages has the variance per item

    D = 2 p (1 - p) [ (within - between) + (1 - within) / R ]

so that SE^2 = sum of D / n over benchmarks / K^2 + 2 noise^2 / R. Degrees of freedom are Satterthwaite's, as in
trainings.py, and the interval is as wide as that module makes it (the factor `c` there widens it if there are few
training runs). The interval of a benchmark on which fewer than FEW items are expected to differ between the arms is
widened as in edges.py: D / n becomes (n D + 2) / (n + 2)^2. The plan ignores clusters (MMLU's subjects, BBH's tasks),
which make real intervals wider.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gra.compare.statistics.bootstrap import LEVEL, Interval
from gra.compare.statistics.edges import FEW
from gra.compare.statistics.trainings import c4
from gra.intervals import student

POWER = 0.8
MOST = 60  # most training runs of each arm that are tried
BETWEEN, WITHIN = 0.5, 0.6  # assumed correlations of answers, where nothing is measured
NOISE = 0.01  # assumed training noise


@dataclass(frozen=True)
class Design:
    """A planned comparison of two arms. `items`: the number of items of each benchmark. `share`: the fraction of right
    answers on each benchmark, from 0 to 1. `noise`: the standard deviation of an arm's mean score between training
    runs, as a fraction, so 0.01 is one point. This standard deviation does not include the sampling error due to the
    finite number of items. `between`, `within`: the correlation over items between the outcomes (right or wrong) of two
    training runs, which belong to different arms (`between`) or to the same arm (`within`). `level`: the confidence
    level of the interval. `power`: the probability with which a true difference must be detected."""

    items: Sequence[int]
    share: Sequence[float]
    between: float = BETWEEN
    within: float = WITHIN
    noise: float = NOISE
    level: float = LEVEL
    power: float = POWER

    def __post_init__(self) -> None:
        if not self.items or len(self.items) != len(self.share) or min(self.items) < 1:
            raise ValueError("a design needs for each benchmark its number of items, at least 1, and its share")
        if not 0 <= self.between <= self.within <= 1:
            raise ValueError(f"between={self.between}, within={self.within}: expected 0 <= between <= within <= 1")


def detectable(found: Interval, level: float, power: float = POWER) -> float:
    """Return the minimum detectable effect of a comparison that gave the interval `found`. This is the smallest true
    difference that is detected with the probability `power`. It is a fraction, so 0.01 is one point."""
    reach = (found.high - found.low) / 2
    return reach * (1 + student(2 * power - 1, found.df) / student(level, found.df))


def error(design: Design, trainings: int) -> tuple[float, float]:
    """Return the predicted standard error of the difference between two arms' means over benchmarks, and its degrees of
    freedom. `trainings`: the number of training runs of each arm.

    One training run cannot show training noise. So if `trainings` is 1, the standard error leaves training noise out
    and holds for these two trained models only.
    """
    se, _, df = _errors(design, trainings)
    return se, df


def _errors(design: Design, trainings: int) -> tuple[float, float, float]:
    """The planned standard error, the standard error that the interval uses, and the latter's degrees of freedom."""
    scale = len(design.items) ** 2
    spread = [p * (1 - p) / n for n, p in _benchmarks(design)]
    alike = (design.within - design.between) + (1 - design.within) / trainings
    items = 2 * alike * sum(spread) / scale
    items += sum(_extra(n, 2 * p * (1 - p), alike, design, trainings) for n, p in _benchmarks(design)) / scale
    if trainings == 1:
        return math.sqrt(items), math.sqrt(items), math.inf
    luck = (1 - design.within) * sum(spread) / scale
    seen = 2 * (design.noise**2 + luck) / trainings
    variance = items + 2 * design.noise**2 / trainings
    seen_df = 2 * (trainings - 1)
    used = items + seen / c4(seen_df) ** 2 - 2 * luck / trainings
    parts = items**2 / max(1, sum(design.items) - len(design.items)) + (seen / c4(seen_df) ** 2) ** 2 / seen_df
    return math.sqrt(variance), math.sqrt(used), used**2 / parts if parts > 0 else math.inf


def _benchmarks(design: Design) -> list[tuple[int, float]]:
    return list(zip(design.items, design.share, strict=True))


def _extra(items: int, spread: float, alike: float, design: Design, trainings: int) -> float:
    """What edges.py is expected to add to the variance of a benchmark's difference; 0 where enough items differ."""
    differing = 1 - (1 - min(1.0, spread * (1 - design.between))) ** trainings  # as if training runs were pairs
    if items * differing >= FEW:
        return 0.0
    seen = spread * alike
    return max(0.0, (items * seen + 2) / (items + 2) ** 2 - seen / items)


def effect(design: Design, trainings: int) -> float:
    """Return the minimum detectable effect of the planned comparison. This is the smallest true difference that is
    detected with the probability `design.power`. It is a fraction, so 0.01 is one point. `trainings`: the number of
    training runs of each arm."""
    se, used, df = _errors(design, trainings)
    return used * student(design.level, df) + se * student(2 * design.power - 1, df)


def trainings_needed(design: Design, wanted: float) -> int | None:
    """Return how many training runs of each arm are needed to detect the effect `wanted` (a fraction). The result is at
    least 2. Return None if more than MOST training runs are needed."""
    return next((count for count in range(2, MOST + 1) if effect(design, count) <= wanted), None)


def items_needed(design: Design, trainings: int, wanted: float) -> float | None:
    """Return the factor by which every benchmark's number of items must be multiplied to detect the effect `wanted` (a
    fraction). If the factor is below 1, fewer items suffice. `trainings`: the number of training runs of each arm.

    Return None if training noise hides the effect, whatever the number of items.
    """
    low, high = 1e-3, 1e3
    if effect(_more(design, high), trainings) > wanted:
        return None
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if effect(_more(design, middle), trainings) > wanted else (low, middle)
    return high


def _more(design: Design, factor: float) -> Design:
    return replace(design, items=[max(1, round(n * factor)) for n in design.items])
