"""PURE: estimates a server's rate of random failures, and after how many failures in a row the request itself is at fault.

A request that fails again and again while its server answers others may be unlucky, or be at fault itself (a prompt that crashes
the server, a reply that a gateway corrupts). If a fraction p of attempts fails randomly, k failures in a row have probability
p^k; the request is at fault when that is below CHANCE. p is learned from calls that failed and were then answered. On a server
where failed calls never recover, a request is given up after two attempts; where every tenth attempt fails, after six. A
request that always fails costs little, and an unlucky one is not lost.
"""

from __future__ import annotations

import math

CHANCE = 1e-6
_FAULTS_BEFORE, _ATTEMPTS_BEFORE = 1.0, 20.0  # prior: counts assumed before the first call
_LONG, _SHORT = 2000.0, 100.0  # memory of the two estimates, in attempts


class PassingFaults:
    """The fraction of attempts at a server that fail randomly: the higher of two estimates, one with a long memory, which shows
    that faults are rare, and one with a short memory, which reacts when they begin."""

    def __init__(self) -> None:
        self._faults = self._attempts = 0.0
        self._recent = 0.0

    def recovered(self, failures: int) -> None:
        """A call was answered after `failures` failed attempts (usually 0)."""
        keep = 1.0 - 1.0 / _LONG
        for failed in (*(1.0,) * failures, 0.0):
            self._faults = self._faults * keep + failed
            self._attempts = self._attempts * keep + 1.0
            self._recent += (failed - self._recent) / _SHORT

    @property
    def share(self) -> float:
        """Fraction of attempts that fail randomly: above 0, below 1."""
        known = (self._faults + _FAULTS_BEFORE) / (self._attempts + _ATTEMPTS_BEFORE)
        return min(max(known, self._recent), 0.99)

    @property
    def attempts(self) -> int:
        """How many failures in a row are too many to be chance; at least 2."""
        return max(math.ceil(math.log(CHANCE) / math.log(self.share)), 2)
