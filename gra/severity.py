"""PURE: computes from the scores of several reviewers for the same samples how severe each reviewer is, and which
generators it prefers. A run's health, the report and `gra analyze` all use these functions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean


def below_others(scores: Sequence[float]) -> list[float | None]:
    """Return, for each of the scores of one sample, how far it lies below the mean of the other scores. The result is
    above 0 for a harsh reviewer, and None if there is no other score. The mean of a reviewer's results over all samples
    is the reviewer's severity."""
    whole, others = sum(scores), len(scores) - 1
    return [(whole - own) / others - own if others else None for own in scores]


def preference(below: Mapping[str, Sequence[float]], of: Collection[str], least: int) -> float | None:
    """Return how many points more a reviewer gives to some generators than to the others, compared with the other
    reviewers of the same samples.

    The result is mean(own - others) over the samples of the generators in the set `of`, minus the same mean over the
    samples of all other generators; "own" is the reviewer's score, and "others" the mean of the other reviewers'
    scores. So the reviewer's severity cancels out. `below`: generator -> the reviewer's results of `below_others`. None
    if one of the two groups has fewer than `least` samples.
    """
    own = [gap for name, gaps in below.items() if name in of for gap in gaps]
    rest = [gap for name, gaps in below.items() if name not in of for gap in gaps]
    return fmean(rest) - fmean(own) if min(len(own), len(rest)) >= max(1, least) else None
