"""PURE: ends a round without `max_proposals` early if its pace cannot fill it within its bound.

Checked after 4, 8, 12 and 16 proposals per sample wanted, on finished proposals in their order:

    pace = samples found since the last check / proposals since then
    continue if samples found + pace x (bound - proposals) >= samples wanted          bound = 20 x samples wanted

A round that keeps at least one proposal in twenty is filled; one that keeps fewer, or whose proposals are duplicates, ends.
"""

from __future__ import annotations

from dataclasses import dataclass

LOOK = 4  # proposals per sample wanted between two checks


@dataclass
class Pace:
    """`wanted`: samples of the round; `limit`: maximum of proposals; `fixed`: set by the user, so the round never ends early."""

    wanted: int
    limit: int
    fixed: bool
    before: int = 0  # unique samples at the last check

    def due(self, proposals: int) -> bool:
        """Return whether the pace is checked after this number of proposals."""
        return not self.fixed and proposals < self.limit and proposals % (LOOK * self.wanted) == 0

    def ends(self, proposals: int, unique: int) -> bool:
        """Return whether the round ends here; `unique`: samples without duplicates. Call it once per check."""
        gained = unique - self.before
        self.before = unique
        return unique * LOOK * self.wanted + gained * (self.limit - proposals) < self.wanted * LOOK * self.wanted
