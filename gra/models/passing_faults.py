"""PURE: whose fault is a failed request? How often a server fails by the way, and how many failures in a row cannot be chance.

A request that fails again and again while its server answers others may have been unlucky each time, or may be at fault itself
(a prompt that crashes the server, a reply that a gateway spoils). With a share p of attempts that fail by chance, k failures in
a row have the probability p^k; a request is at fault once that is below CHANCE. p is learned from calls that failed and were
then answered: a server on which failed calls never recover gives them up after two attempts, one on which every tenth attempt
fails after six. So a request that always fails costs little, and one that was unlucky is not lost.
"""

from __future__ import annotations

import math

CHANCE = 1e-6
_FAULTS_BEFORE, _ATTEMPTS_BEFORE = 1.0, 20.0  # what is taken to have been seen before the first call
_LONG, _SHORT = 2000.0, 100.0  # attempts that the two estimates remember


class PassingFaults:
    """The share of attempts at a server that fail by chance. Two estimates, of which the higher counts: one remembers long
    enough to tell that faults are rare, the other sees at once where they begin."""

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
        """Of attempts that fail by chance: above 0, below 1."""
        known = (self._faults + _FAULTS_BEFORE) / (self._attempts + _ATTEMPTS_BEFORE)
        return min(max(known, self._recent), 0.99)

    @property
    def attempts(self) -> int:
        """So many failures in a row are no chance any more; at least 2."""
        return max(math.ceil(math.log(CHANCE) / math.log(self.share)), 2)
