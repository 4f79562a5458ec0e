"""PURE: ends a round early if, at its current pace, it cannot get the samples that it wants within its limit of
proposals.

A round never ends early if the user set `max_proposals`. The pace is checked when 4, 8, 12 and 16 proposals per wanted
sample have finished, counted in the order of the proposals:

    pace = samples found since the last check / proposals since then
    continue if samples found + pace x (limit - proposals) >= samples wanted          limit = 20 x samples wanted

So a steady round ends early if it keeps fewer than one unique sample in twenty proposals.
"""

from __future__ import annotations

from dataclasses import dataclass

LOOK = 4  # proposals per sample wanted between two checks


@dataclass
class Pace:
    """The pace of one round. `wanted`: samples of the round. `limit`: limit on its proposals. `fixed`: whether the user
    set this limit (`max_proposals`); if so, the round never ends early."""

    wanted: int
    limit: int
    fixed: bool
    before: int = 0  # unique samples at the last check

    def due(self, proposals: int) -> bool:
        """Return whether the pace must be checked after this number of proposals."""
        return not self.fixed and proposals < self.limit and proposals % (LOOK * self.wanted) == 0

    def ends(self, proposals: int, unique: int) -> bool:
        """Return whether the round ends now because its pace is too low. `unique`: the number of samples so far,
        without duplicates. The next check compares with it, so call this only once per check."""
        gained = unique - self.before
        self.before = unique
        return unique * LOOK * self.wanted + gained * (self.limit - proposals) < self.wanted * LOOK * self.wanted
