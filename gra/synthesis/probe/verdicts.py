"""PURE: computes two figures that show whether a reviewer distinguishes answers. The health of a run and a probe use
the same two figures.

constant   the proportion of its reviews that have its most frequent score; scores are first rounded to 0.01
equal      among its reviews with scores for several dimensions, the proportion in which all of these are the same
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

CONSTANT = 0.9  # a reviewer with at least this share does not distinguish responses
EQUAL = 0.8  # a reviewer with at least this share does not distinguish dimensions


@dataclass
class Verdicts:
    """Counts how often a reviewer gave each score. The counts need little memory: scores are rounded to 0.01, so there
    are only 1,001 different scores from 0 to 10."""

    scores: Counter[float] = field(default_factory=Counter)
    several: int = 0
    all_same: int = 0

    def add(self, score: float, scores: Mapping[str, float]) -> None:
        """Add a review. `score`: its overall score; `scores`: its scores by dimension."""
        self.scores[round(score, 2)] += 1
        if len(scores) > 1:
            self.several += 1
            self.all_same += len(set(scores.values())) == 1

    @property
    def constant(self) -> float | None:
        """The proportion of the reviewer's reviews that have its most frequent score. Scores are rounded to 0.01. The
        value is None if there are no reviews."""
        return max(self.scores.values()) / self.scores.total() if self.scores else None

    @property
    def equal(self) -> float | None:
        """The proportion of reviews that give the same score to all dimensions. Only reviews that score several
        dimensions count. The value is None if there is no such review."""
        return self.all_same / self.several if self.several else None
