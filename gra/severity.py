"""PURE: how the scores of one sample's reviewers stand to one another: one rule for a run's health, the report and gra analyze."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean


def below_others(scores: Sequence[float]) -> list[float | None]:
    """For each reviewer's score of a sample, by how many points it lies below the mean of the others' (harsh: above 0); None for a
    lone score. Its mean over samples is a reviewer's severity."""
    whole, others = sum(scores), len(scores) - 1
    return [(whole - own) / others - own if others else None for own in scores]


def preference(below: Mapping[str, Sequence[float]], of: Collection[str], least: int) -> float | None:
    """By how many points more than the other reviewers a reviewer scores the generators `of`, minus the same for all other
    generators, so that its severity does not count. `below`: by generator, what `below_others` found for the reviewer. None for
    fewer than `least` samples on either side."""
    own = [gap for name, gaps in below.items() if name in of for gap in gaps]
    rest = [gap for name, gaps in below.items() if name not in of for gap in gaps]
    return fmean(rest) - fmean(own) if min(len(own), len(rest)) >= max(1, least) else None
