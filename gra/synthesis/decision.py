"""The tau / delta gate (paper, decision rule): pure, in exact arithmetic.

Scores are integers or decimals of four digits, so means and variances are fractions: compared as such, no sample passes or fails
by rounding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from gra.synthesis.records import Check, Outcome
from gra.synthesis.settings import SynthesisSettings

AFTER_GATE = ("contaminated", "duplicate", "surplus")  # reasons given to samples that the committee had accepted
Verdict = Literal["accept", "reject", "adjudicate"]


@dataclass(frozen=True)
class Gate:
    """What the reviews say; `reason` where it is not accept; mean and std of the composites (None: undefined)."""

    verdict: Verdict
    reason: str
    mean: float | None
    std: float | None


def instruction_passes(checks: Sequence[Check], settings: SynthesisSettings) -> bool:
    """Whether the reviewers let the instruction pass: nobody fails it, or (`check=majority`) no more than half of those that
    gave a verdict."""
    given = [check.passed for check in checks if check.passed is not None]
    failed = given.count(False)
    return failed == 0 if settings.check == "unanimous" else failed * 2 <= len(given)


def composite(scores: Mapping[str, float]) -> Fraction:
    """A reviewer's score: the plain mean of its scores, as they are written in decimals."""
    return sum((Fraction(str(score)) for score in scores.values()), Fraction(0)) / len(scores)


def gate(reviews: Sequence[Mapping[str, float]], settings: SynthesisSettings) -> Gate:
    """Judge a response by the reviewers' `reviews` (dimension -> 0..10), missing ones left out.

    mean < tau: reject. mean >= tau and std <= delta: accept. Otherwise the adjudicator, or `settings.disputed` where there
    is none. With fewer than `settings.min_reviews` reviews nothing can be said: the adjudicator, or reject.
    """
    values = [composite(review) for review in reviews]
    mean = sum(values, Fraction(0)) / len(values) if values else None
    variance = _variance(values, settings.std)
    std = None if variance is None else math.sqrt(variance)
    shown = None if mean is None else float(mean)
    if mean is None or len(values) < settings.min_reviews:
        return Gate("adjudicate" if settings.adjudicate else "reject", "too_few_reviews", shown, std)
    if mean < Fraction(str(settings.tau)):
        return Gate("reject", "below_tau", shown, std)
    if variance is None or variance <= Fraction(str(settings.delta)) ** 2:
        return Gate("accept", "", shown, std)
    if settings.adjudicate:
        return Gate("adjudicate", "disputed", shown, std)
    return Gate("accept", "", shown, std) if settings.disputed == "keep" else Gate("reject", "disputed", shown, std)


def adjudicated_verdict(scores: Mapping[str, float], settings: SynthesisSettings) -> bool:
    """Whether the adjudicator keeps the sample: its own composite reaches tau."""
    return composite(scores) >= Fraction(str(settings.tau))


def _variance(values: Sequence[Fraction], form: str) -> Fraction | None:
    """Population or sample variance; None where it is undefined (no value, or one value in the sample form)."""
    below = len(values) - (1 if form == "sample" else 0)
    if below <= 0:
        return None
    mean = sum(values, Fraction(0)) / len(values)
    return sum(((v - mean) ** 2 for v in values), Fraction(0)) / below


def passed_gate(outcome: Outcome) -> bool:
    """Whether the committee accepted the sample, whatever became of it afterwards."""
    return outcome.status == "accepted" or outcome.reason in AFTER_GATE
