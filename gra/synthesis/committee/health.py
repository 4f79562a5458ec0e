"""PURE: computes from the reviews whether the reviewers agree, whether each of them gives different samples different
scores, and how much a sample's mean score depends on which reviewers were drawn for it.

`Health` takes outcomes one by one and needs the same memory for any number of them. `Health.account` returns what
stats.json contains under `health`:

    samples      number of samples with at least two scores
    alpha        Krippendorff's alpha of the reviews' mean scores (interval data)
    alpha_low    lower end of alpha's 95 % interval, from a delete-one-group jackknife over 20 groups of samples (Efron
                 and Stein 1981, Annals of Statistics 9); None if there are fewer than 20 samples
    alpha_high   upper end of this interval
    reviewers    {model: reviews, mean, sd, severity, constant, equal}. severity: how many points lower the model's
                 scores are on average than those of the other reviewers of the same samples, as in a probe
                 (model_comparison.py); above 0 for a harsh model. constant: the proportion of its reviews with the
                 mean score that it gives most often. equal: the proportion of its reviews in which all dimensions have
                 the same score (verdicts.py)
    sets         {set of reviewers: reviewed, accepted}: how many samples these reviewers judged, and how many of them
                 the committee accepted
    warnings     what is wrong, in words; [] if nothing is wrong or too few samples were reviewed
    draw_share   the proportion of the variance of mean scores that is due to the choice of reviewers, not to the
                 sample: (mean within-sample variance / m) / (variance of the means), for m reviewers per sample
                 (one-way random effects; Searle, Variance Components)

With synthesis.roles=random, the reviewers are drawn at random for each sample. So systematic differences between sets
of reviewers are due to the reviewers, not to the samples that they got.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

from gra.intervals import student
from gra.severity import below_others
from gra.synthesis.committee.agreement import Agreement
from gra.synthesis.committee.gate import passed_gate
from gra.synthesis.committee.records import Outcome
from gra.synthesis.probe.verdicts import CONSTANT, EQUAL, Verdicts

GROUPS = 20  # groups of samples in the jackknife
ENOUGH = 20  # minimum reviewed samples for any statement, and minimum reviews of a model for one about it
LEVEL = 0.95  # confidence level of alpha's interval
MOST_SETS = 200  # sets of reviewers that are counted separately; all others are counted together


class Health:
    """Statistics on the reviews of all outcomes that were added so far."""

    def __init__(self) -> None:
        self._groups: dict[int, Agreement] = {}
        self.reviewed = 0  # samples with two scores or more
        self._models: dict[str, _Reviewer] = {}
        self._sets: dict[str, list[int]] = {}
        self._means = _Moments()  # mean and variance of the samples' mean scores
        self._within = 0.0  # sum over samples of the variance between reviewers / their number

    def add(self, outcome: Outcome) -> None:
        """Add one outcome. It is ignored if none of its reviews has scores."""
        scored = [review for review in outcome.reviews if review.scores]
        if not scored:
            return
        totals = [
            round(sum(r.scores.values()) / len(r.scores) * 6000) for r in scored if r.scores
        ]  # as integers, because `Agreement` is exact; 6000 is a multiple of the usual numbers of scores
        points = [total / 6000 for total in totals]
        self._agree(outcome.id, totals)
        for review, own, below in zip(scored, points, below_others(points), strict=True):
            self._models.setdefault(review.model, _Reviewer()).add(own, below, review.raw or review.scores or {})
        name = ", ".join(sorted(review.model for review in scored))
        if name not in self._sets and len(self._sets) >= MOST_SETS:
            name = "others"
        counts = self._sets.setdefault(name, [0, 0])
        counts[0] += 1
        counts[1] += passed_gate(outcome)

    def account(self) -> dict[str, Any]:
        """Return all statistics as values for JSON. A statistic that is undefined is None."""
        alpha = Agreement.joined(self._groups.values()).alpha()
        low, high = self._interval(alpha)
        found: dict[str, Any] = {
            "samples": self.reviewed,
            "alpha": alpha,
            "alpha_low": low,
            "alpha_high": high,
            "reviewers": {model: self._models[model].account() for model in sorted(self._models)},
            "sets": {name: {"reviewed": n, "accepted": passed} for name, (n, passed) in sorted(self._sets.items())},
            "draw_share": self._draw_share(),
        }
        return {**found, "warnings": [text for _, text in faults(found)]}

    def _agree(self, sample: str, totals: list[int]) -> None:
        if len(totals) < 2:
            return
        group = int.from_bytes(hashlib.blake2b(sample.encode(), digest_size=4).digest(), "big") % GROUPS
        self.reviewed += 1
        self._groups.setdefault(group, Agreement()).add(totals)
        points = [total / 6000 for total in totals]
        mean = sum(points) / len(points)
        self._means.add(mean)
        self._within += sum((point - mean) ** 2 for point in points) / (len(points) - 1) / len(points)

    def _interval(self, alpha: float | None) -> tuple[float | None, float | None]:
        if alpha is None or self.reviewed < ENOUGH:
            return None, None
        left = [Agreement.joined(g for n, g in self._groups.items() if n != out).alpha() for out in self._groups]
        values = [value for value in left if value is not None]
        if len(values) < max(2, len(left)):
            return None, None
        n, mean = len(values), sum(values) / len(values)
        error = math.sqrt((n - 1) / n * sum((value - mean) ** 2 for value in values))
        reach = student(LEVEL, n - 1) * error
        return alpha - reach, min(1.0, alpha + reach)

    def _draw_share(self) -> float | None:
        variance = self._means.variance()
        if self.reviewed < ENOUGH or variance is None or variance == 0:
            return None
        return min(1.0, self._within / self.reviewed / variance)


class _Moments:
    """Running mean and variance (Welford 1962)."""

    def __init__(self) -> None:
        self.n, self.mean, self._squares = 0, 0.0, 0.0

    def add(self, value: float) -> None:
        self.n += 1
        step = value - self.mean
        self.mean += step / self.n
        self._squares += step * (value - self.mean)

    def variance(self) -> float | None:
        return self._squares / (self.n - 1) if self.n > 1 else None


class _Reviewer:
    """Statistics of one model's reviews."""

    def __init__(self) -> None:
        self._points, self._below = _Moments(), _Moments()
        self._verdicts = Verdicts()

    def add(self, own: float, below: float | None, scores: Mapping[str, float]) -> None:
        self._points.add(own)
        self._verdicts.add(own, scores)
        if below is not None:
            self._below.add(below)

    def account(self) -> dict[str, Any]:
        n, variance = self._points.n, self._points.variance()
        return {
            "reviews": n,
            "mean": self._points.mean,
            "sd": None if variance is None else math.sqrt(variance),
            "severity": self._below.mean if self._below.n else None,
            "constant": self._verdicts.constant,
            "equal": self._verdicts.equal,
        }


def blind(found: Mapping[str, Any]) -> bool:
    """Return whether the reviewers seem unable to tell good samples from bad ones.

    The result is True in each of these three cases:

    - The 95 % interval of Krippendorff's alpha reaches down to 0.
    - Alpha is undefined because all scores are the same.
    - More than half of the variance of the samples' mean scores is due to the choice of reviewers (`draw_share`).

    But the result is False if fewer than 20 (ENOUGH) samples were reviewed. `found`: the result of `Health.account`.
    """
    if found["samples"] < ENOUGH:
        return False
    no_agreement = found["alpha"] is None or (found["alpha_low"] is not None and found["alpha_low"] <= 0)
    return no_agreement or (found["draw_share"] is not None and found["draw_share"] > 0.5)


def faults(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is wrong with the committee, as a list of (name of the fault, message). The list is empty if nothing
    is wrong or too few samples were reviewed. `found`: the result of `Health.account`."""
    messages = []
    n = found["samples"]
    if n >= ENOUGH and found["alpha"] is None:
        messages.append(
            ("alpha", f"all reviewers gave all {n:,} samples the same score: their reviews carry no information")
        )
    elif n >= ENOUGH and found["alpha_low"] is not None and found["alpha_low"] <= 0:
        interval = f"[{found['alpha_low']:.2f}, {found['alpha_high']:.2f}]"
        figures = f"Krippendorff's alpha {found['alpha']:.2f} {interval} over {n:,} samples"
        words = f"the reviewers do not agree beyond chance ({figures}): their acceptance says nothing about quality"
        messages.append(("alpha", words))
    if (share := found["draw_share"]) is not None and share > 0.5:
        words = f"{share:.0%} of the variance of mean scores comes from the reviewers"
        messages.append(("draw", f"the random choice of reviewers decides more than the sample: {words}"))
    for model, reviewer in found["reviewers"].items():
        if reviewer["reviews"] < ENOUGH:
            continue
        if reviewer["constant"] >= CONSTANT:
            figures = f"{reviewer['constant']:.0%} of {reviewer['reviews']:,} reviews, mean {reviewer['mean']:.1f}"
            messages.append((f"constant {model}", f"{model} gives nearly every response the same score ({figures})"))
        elif reviewer["equal"] is not None and reviewer["equal"] >= EQUAL:
            figures = f"in {reviewer['equal']:.0%} of its {reviewer['reviews']:,} reviews"
            messages.append((f"equal {model}", f"{model} gives all dimensions the same score {figures}"))
    return messages
