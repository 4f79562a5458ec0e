"""How far reviewers agree: Krippendorff's alpha for interval data (Krippendorff, Content Analysis, chapter on reliability)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction


def interval_alpha(units: Iterable[Sequence[int]]) -> float | None:
    """Krippendorff's alpha over `units`, each the integer scores that one sample got; see `Agreement`."""
    agreement = Agreement()
    for unit in units:
        agreement.add(unit)
    return agreement.alpha()


class Agreement:
    """Krippendorff's alpha, one sample at a time and in constant memory.

    1: full agreement, 0: as by chance, below: worse. Exact arithmetic in O(scores); equal to the package `krippendorff`, which
    takes an array of samples x values x values (gigabytes for 100,000 samples). Scaling all scores does not change it, so sums
    serve for means.
    """

    def __init__(self) -> None:
        self._within: defaultdict[int, int] = defaultdict(int)  # by number of scores m: squared differences over ordered pairs
        self._count = self._total = self._squares = 0

    def add(self, unit: Sequence[int]) -> None:
        """Take in the scores of one sample; with fewer than two it says nothing."""
        m = len(unit)
        if m < 2:
            return
        s, q = sum(unit), sum(x * x for x in unit)
        self._within[m] += 2 * (m * q - s * s)
        self._count, self._total, self._squares = self._count + m, self._total + s, self._squares + q

    @classmethod
    def joined(cls, parts: Iterable[Agreement]) -> Agreement:
        """The agreement over the samples of all `parts` together."""
        whole = cls()
        for part in parts:
            for m, pairs in part._within.items():
                whole._within[m] += pairs
            whole._count += part._count
            whole._total += part._total
            whole._squares += part._squares
        return whole

    def alpha(self) -> float | None:
        """None where it is undefined: no sample with two scores, or all scores the same."""
        between = 2 * (self._count * self._squares - self._total * self._total)
        if between == 0:
            return None
        observed = sum((Fraction(pairs, m - 1) for m, pairs in self._within.items()), Fraction(0)) / self._count
        expected = Fraction(between, self._count * (self._count - 1))
        return float(1 - observed / expected)
