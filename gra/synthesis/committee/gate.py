"""PURE: decides from the reviewers' scores whether a response is accepted (paper, decision rule). The thresholds are
tau for the mean of the scores and delta for their standard deviation.

Scores are integers or decimals with four digits. Means and variances are computed as exact fractions, so no decision
depends on rounding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from statistics import median
from typing import Literal

from gra.reasons import REASONS
from gra.synthesis.committee.records import Check, Outcome
from gra.synthesis.settings import SynthesisSettings

Verdict = Literal["accept", "reject", "adjudicate"]


@dataclass(frozen=True)
class Gate:
    """The gate's verdict on a response. `reason`: why the verdict is not `accept`, else empty. `mean` and `std`: of the
    reviewers' composite scores; None if undefined."""

    verdict: Verdict
    reason: str
    mean: float | None
    std: float | None


def instruction_passes(checks: Sequence[Check], settings: SynthesisSettings) -> bool:
    """Return whether the instruction passes its checks. With `check=unanimous`, it passes if no check is negative; with
    `check=majority`, if at most half of them are. Checks without a verdict do not count."""
    given = [check.passed for check in checks if check.passed is not None]
    failed = given.count(False)
    return failed == 0 if settings.check == "unanimous" else failed * 2 <= len(given)


def composite(scores: Mapping[str, float], kind: str = "mean") -> Fraction:
    """Return the composite score of one review, as an exact fraction. `scores`: dimension -> score. `kind`
    (synthesis.composite): how the scores are combined, "mean", "median", "min", or "correctness", which uses this score
    alone."""
    if kind == "correctness":
        return exact(scores["correctness"])
    if kind == "median":
        return median(exact(score) for score in scores.values())
    if kind == "min":
        return min(exact(score) for score in scores.values())
    # Integers are summed apart for speed: nearly all scores are integers.
    whole = sum(score for score in scores.values() if isinstance(score, int))
    return sum((exact(score) for score in scores.values() if not isinstance(score, int)), Fraction(whole)) / len(scores)


@lru_cache(1024)
def exact(number: float) -> Fraction:
    """Return a number as the exact fraction of its decimal notation: 1/10 for 0.1."""
    return Fraction(str(number))


def gate(reviews: Sequence[Mapping[str, float]], settings: SynthesisSettings) -> Gate:
    """Decide on a response by its `reviews`. Each review is a mapping from dimension to score, from 0 to 10. The caller
    leaves out reviews without scores.

    Mean and std are those of the reviews' composite scores. The rules, in this order:

    1. Fewer than `settings.min_reviews` reviews: the adjudicator decides; without one, the response is rejected.
    2. Mean below tau: the response is rejected.
    3. Std at most delta, or undefined: the response is accepted.
    4. Otherwise the response is disputed: the adjudicator decides. Without an adjudicator, `settings.disputed` decides;
       its value `majority` accepts if more than half of the composite scores reach tau.
    """
    values = [composite(review, settings.composite) for review in reviews]
    mean, variance = _moments(values, settings.std)
    std = None if variance is None else math.sqrt(variance)
    shown = None if mean is None else float(mean)
    if mean is None or len(values) < settings.min_reviews:
        return Gate("adjudicate" if settings.adjudicate else "reject", "too_few_reviews", shown, std)
    if mean < exact(settings.tau):
        return Gate("reject", "below_tau", shown, std)
    if variance is None or variance <= exact(settings.delta) ** 2:
        return Gate("accept", "", shown, std)
    if settings.adjudicate:
        return Gate("adjudicate", "disputed", shown, std)
    if settings.disputed == "majority":
        keep = 2 * sum(value >= exact(settings.tau) for value in values) > len(values)
    else:
        keep = settings.disputed == "keep"
    return Gate("accept", "", shown, std) if keep else Gate("reject", "disputed", shown, std)


def adjudicated_verdict(scores: Mapping[str, float], settings: SynthesisSettings) -> bool:
    """Return whether the adjudicator keeps the sample. It does so if the composite score of its `scores` is at least
    tau."""
    return composite(scores, settings.composite) >= exact(settings.tau)


def _moments(values: Sequence[Fraction], form: str) -> tuple[Fraction | None, Fraction | None]:
    """Return the mean and the variance (`form`: population or sample). Without values both are None; in the sample form
    the variance of one value is None. The computation uses integers over a common denominator, which is ten times as
    fast as fractions:

        variance = (n * sum(v^2) - sum(v)^2) / (n * n), or / (n * (n - 1)) in the sample form
    """
    if not values:
        return None, None
    number, below = len(values), len(values) - (1 if form == "sample" else 0)
    scale = math.lcm(*(value.denominator for value in values))
    parts = [value.numerator * (scale // value.denominator) for value in values]
    total = sum(parts)
    spread = number * sum(part * part for part in parts) - total * total
    return Fraction(total, number * scale), Fraction(spread, number * below * scale * scale) if below else None


def passed_gate(outcome: Outcome) -> bool:
    """Return whether the committee accepted the sample. A later step, such as deduplication, may have dropped it."""
    return outcome.status == "accepted" or (outcome.reason in REASONS and REASONS[outcome.reason].accepted)
