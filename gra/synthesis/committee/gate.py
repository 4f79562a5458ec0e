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
    """The gate's verdict on a response. The gate is the rule that decides by the reviewers' scores.

    `reason`: why the verdict is not `accept`. It is empty if the verdict is `accept`. `mean` and `std`: the mean and
    standard deviation of the reviews' composite scores. They are None if undefined.
    """

    verdict: Verdict
    reason: str
    mean: float | None
    std: float | None


def instruction_passes(checks: Sequence[Check], settings: SynthesisSettings) -> bool:
    """Return whether the instruction passes its checks. With `check=unanimous`, no check may be negative. With
    `check=majority`, at most half of the checks may be negative. Checks without a verdict do not count."""
    given = [check.passed for check in checks if check.passed is not None]
    failed = given.count(False)
    return failed == 0 if settings.check == "unanimous" else failed * 2 <= len(given)


def composite(scores: Mapping[str, float], kind: str = "mean") -> Fraction:
    """Return the composite score of one review as an exact fraction. It combines all scores of the review into one.
    `scores`: dimension -> score. `kind`: the setting `synthesis.composite`. It is "mean", "median", "min" or
    "correctness". With "correctness", the composite score is the score for correctness alone."""
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
    """Decide from its reviews whether a response is accepted, rejected or left to the adjudicator.

    Each review is a mapping from dimension to score, from 0 to 10. The caller leaves out reviews without scores. Mean
    and std are those of the reviews' composite scores. The first of these rules that applies decides:

    1. If there are fewer than `settings.min_reviews` reviews, the adjudicator decides. Without an adjudicator, the
       response is rejected.
    2. If the mean is below tau, the response is rejected.
    3. If the std is at most delta, or undefined, the response is accepted.
    4. Otherwise, the response is disputed and the adjudicator decides. Without an adjudicator, `settings.disputed`
       decides. Its value `majority` accepts the response if more than half of the composite scores reach tau.
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
    """Return whether the adjudicator keeps the sample. This is so if the composite score of the adjudicator's `scores`
    is at least tau."""
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
    """Return whether the committee accepted the sample. A later step, such as deduplication, may still have dropped
    it."""
    return outcome.status == "accepted" or (outcome.reason in REASONS and REASONS[outcome.reason].accepted)
