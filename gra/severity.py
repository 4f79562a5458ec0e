"""PURE: compares the scores that several reviewers gave to the same sample. A run's health, the report and gra analyze
use the same rule."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean


def below_others(scores: Sequence[float]) -> list[float | None]:
    """Return, for each reviewer's score of a sample, the mean of the other reviewers' scores minus this score: above 0
    if the reviewer is harsh, None if there is no other score. The mean of the difference over samples is the reviewer's
    severity."""
    whole, others = sum(scores), len(scores) - 1
    return [(whole - own) / others - own if others else None for own in scores]


def preference(below: Mapping[str, Sequence[float]], of: Collection[str], least: int) -> float | None:
    """Return how many points a reviewer prefers the generators `of` to all other generators. For each of the two
    groups, take the mean of the reviewer's score minus the other reviewers' scores; the preference is the first mean
    minus the second, so the reviewer's severity cancels out. `below`: generator -> results of `below_others` for this
    reviewer. None if either group has fewer than `least` samples."""
    own = [gap for name, gaps in below.items() if name in of for gap in gaps]
    rest = [gap for name, gaps in below.items() if name not in of for gap in gaps]
    return fmean(rest) - fmean(own) if min(len(own), len(rest)) >= max(1, least) else None
