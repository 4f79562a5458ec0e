"""PURE: computes from the scores of several reviewers for the same samples how severe each reviewer is, and which
generators it prefers. A run's health, the report and `gra analyze` all use these functions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean


def below_others(scores: Sequence[float]) -> list[float | None]:
    """Return one value for each score of a sample: the mean of the sample's other scores minus this score.

    A value is above 0 if the reviewer was harsher than the others. The value is None if there is no other score. The
    mean of a reviewer's values over all samples is called the reviewer's severity.
    """
    whole, others = sum(scores), len(scores) - 1
    return [(whole - own) / others - own if others else None for own in scores]


def preference(below: Mapping[str, Sequence[float]], of: Collection[str], least: int) -> float | None:
    """Return by how many points a reviewer favours some generators, compared with the other reviewers of the same
    samples.

    For each sample, the mean score of the other reviewers is subtracted from the reviewer's own score. The result is
    the mean of these differences over the samples of the given generators, minus their mean over the samples of all
    other generators. So a reviewer who is equally harsh to all generators favours none. The result is None if one of
    the two groups has fewer than `least` samples, or no samples at all.

    `of`: the names of the given generators. `below`: generator -> the reviewer's results of `below_others` for the
    samples of this generator.
    """
    own = [gap for name, gaps in below.items() if name in of for gap in gaps]
    rest = [gap for name, gaps in below.items() if name not in of for gap in gaps]
    return fmean(rest) - fmean(own) if min(len(own), len(rest)) >= max(1, least) else None
