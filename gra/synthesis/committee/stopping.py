"""PURE: decides whether a round ends early because it finds samples too slowly: at its current pace, it would not find
all the samples that it needs before it reaches its limit of proposals.

A round never ends early if the user set `max_proposals`. The pace is checked when 4, 8, 12 and 16 proposals per wanted
sample have finished:

    pace = samples found since the last check / proposals since then
    continue if samples found + pace x (limit - proposals) >= samples wanted          limit = 20 x samples wanted

So a round with a constant pace ends early if fewer than one in twenty proposals gives a new sample that is not a
duplicate.
"""

from __future__ import annotations

from dataclasses import dataclass

LOOK = 4  # proposals per sample wanted between two checks


@dataclass
class Pace:
    """The pace at which one round finds samples.

    `wanted`: the number of samples that the round needs. `limit`: the largest number of proposals that it makes.
    `fixed`: whether the user set this limit (`max_proposals`). If so, the round never ends because its pace is too low.
    """

    wanted: int
    limit: int
    fixed: bool
    before: int = 0  # unique samples at the last check

    def due(self, proposals: int) -> bool:
        """Return whether the pace must be checked when this number of proposals has finished."""
        return not self.fixed and proposals < self.limit and proposals % (LOOK * self.wanted) == 0

    def ends(self, proposals: int, unique: int) -> bool:
        """Return whether the round ends now because its pace is too low. Call this method only once per check, because
        it stores the value of `unique` for the next check. `proposals`: the number of finished proposals. `unique`: the
        number of samples found so far, without duplicates."""
        gained = unique - self.before
        self.before = unique
        return unique * LOOK * self.wanted + gained * (self.limit - proposals) < self.wanted * LOOK * self.wanted
