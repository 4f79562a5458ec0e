"""PURE: when a round without `max_proposals` ends before it is full: at its pace it would not be filled within its bound.

Looked at after 4, 8, 12 and 16 proposals for each sample wanted, on finished proposals in their order:

    pace = samples found since the look before / proposals since then
    go on if samples found + pace x (bound - proposals) >= samples wanted          bound = 20 x samples wanted

So a round that keeps one proposal in twenty or more is filled; one that keeps fewer, or whose proposals repeat what it has, ends.
"""

from __future__ import annotations

from dataclasses import dataclass

LOOK = 4  # proposals for each sample wanted, between two looks


@dataclass
class Pace:
    """`wanted`: samples of the round; `limit`: proposals at most; `fixed`: the user gave that limit, so nothing ends before it."""

    wanted: int
    limit: int
    fixed: bool
    before: int = 0  # unique samples at the last look

    def due(self, proposals: int) -> bool:
        """Whether to look at the pace after so many proposals."""
        return not self.fixed and proposals < self.limit and proposals % (LOOK * self.wanted) == 0

    def ends(self, proposals: int, unique: int) -> bool:
        """Whether the round ends here; `unique`: samples found that are no duplicates. To be asked once at each look."""
        gained = unique - self.before
        self.before = unique
        return unique * LOOK * self.wanted + gained * (self.limit - proposals) < self.wanted * LOOK * self.wanted
