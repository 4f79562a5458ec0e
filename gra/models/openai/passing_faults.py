"""PURE: estimates what fraction of the attempts at a server fails at random. From this follows how many failures in a
row show that a request itself is at fault.

A request that fails repeatedly while its server answers others may be unlucky, or be at fault itself (a prompt that
crashes the server, a reply that a gateway corrupts). If a fraction p of attempts fails randomly, k failures in a row
have probability p^k. A request is given up as faulty when p^k is below one in a million (`CHANCE`). p is estimated from
calls that failed at first and were answered when they were repeated.

For example, if every tenth attempt fails randomly, a request is given up after six attempts. If no repeated call has
ever succeeded at the server, a request is given up after five attempts at first, and after two attempts once the server
has answered some thousand calls. So a request that always fails costs little, and an unlucky one is not lost.
"""

from __future__ import annotations

import math

CHANCE = 1e-6
_FAULTS_BEFORE, _ATTEMPTS_BEFORE = 1.0, 20.0  # prior: counts assumed before the first call
_LONG, _SHORT = 2000.0, 100.0  # length of the two estimates' memory, in attempts


class PassingFaults:
    """Estimates the fraction of attempts at a server that fail at random. The estimate is the higher of two averages.

    One averages over many attempts, so it stays low while faults are rare. The other averages over recent attempts
    only, so it rises soon after faults begin.
    """

    def __init__(self) -> None:
        self._faults = self._attempts = 0.0
        self._recent = 0.0

    def recovered(self, failures: int) -> None:
        """Record that a call was answered after `failures` failed attempts (usually 0)."""
        keep = 1.0 - 1.0 / _LONG
        for failed in (*(1.0,) * failures, 0.0):
            self._faults = self._faults * keep + failed
            self._attempts = self._attempts * keep + 1.0
            self._recent += (failed - self._recent) / _SHORT

    @property
    def share(self) -> float:
        """The fraction of attempts that fail randomly, above 0 and below 1."""
        known = (self._faults + _FAULTS_BEFORE) / (self._attempts + _ATTEMPTS_BEFORE)
        return min(max(known, self._recent), 0.99)

    @property
    def attempts(self) -> int:
        """The number of failed attempts after which a request is given up. It is at least 2. Random faults cause this
        number of failures in a row with a probability of at most one in a million (`CHANCE`)."""
        return max(math.ceil(math.log(CHANCE) / math.log(self.share)), 2)
