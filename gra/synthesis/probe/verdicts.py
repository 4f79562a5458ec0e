"""PURE: two signs of an uninformative reviewer, defined in the same way for a run's health and for a probe.

constant   the share of its reviews with its most frequent score, rounding scores to a hundredth (1: always the same)
equal      of its reviews with several scores, the share in which all scores are the same
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

CONSTANT = 0.9  # a reviewer with at least this share does not distinguish responses
EQUAL = 0.8  # a reviewer with at least this share does not distinguish dimensions


@dataclass
class Verdicts:
    """Counts of one reviewer's reviews. Memory is bounded, because there are only 1,001 scores rounded to a hundredth."""

    scores: Counter[float] = field(default_factory=Counter)
    several: int = 0
    all_same: int = 0

    def add(self, score: float, scores: Mapping[str, float]) -> None:
        """Add a review: its composite score and its scores by dimension."""
        self.scores[round(score, 2)] += 1
        if len(scores) > 1:
            self.several += 1
            self.all_same += len(set(scores.values())) == 1

    @property
    def constant(self) -> float | None:
        """`constant` of the module docstring; None without reviews."""
        return max(self.scores.values()) / self.scores.total() if self.scores else None

    @property
    def equal(self) -> float | None:
        """`equal` of the module docstring; None if no review has several scores."""
        return self.all_same / self.several if self.several else None
