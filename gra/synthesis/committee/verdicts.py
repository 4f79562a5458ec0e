"""PURE: two signs of a reviewer who says nothing, meant alike in a run's health and in a probe.

    constant   the share of its reviews that give its most frequent score, to a hundredth of a point (0: none, 1: always the same)
    equal      of its reviews with several scores, the share in which they are all the same
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

CONSTANT = 0.9  # from which a reviewer tells nothing apart
EQUAL = 0.8  # from which a reviewer says one thing six times


@dataclass
class Verdicts:
    """Counts of one reviewer's reviews; memory does not grow with them: there are 1,001 scores to a hundredth."""

    scores: Counter[float] = field(default_factory=Counter)
    several: int = 0
    all_same: int = 0

    def add(self, score: float, scores: Mapping[str, float]) -> None:
        """A review: its composite and its scores by dimension."""
        self.scores[round(score, 2)] += 1
        if len(scores) > 1:
            self.several += 1
            self.all_same += len(set(scores.values())) == 1

    @property
    def constant(self) -> float | None:
        """None without a review."""
        return max(self.scores.values()) / self.scores.total() if self.scores else None

    @property
    def equal(self) -> float | None:
        """None where no review has several scores."""
        return self.all_same / self.several if self.several else None
