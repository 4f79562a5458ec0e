"""Measures how far reviewers agree: Krippendorff's alpha for interval data (Krippendorff, Content Analysis)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction


def interval_alpha(units: Iterable[Sequence[int]]) -> float | None:
    """Return Krippendorff's alpha of the scores in `units`. Return None if alpha is undefined, because no sample has
    two scores or all scores are the same. Each item of `units` holds the integer scores of one sample."""
    agreement = Agreement()
    for unit in units:
        agreement.add(unit)
    return agreement.alpha()


class Agreement:
    """Computes Krippendorff's alpha for interval data, one sample at a time and in constant memory.

    An alpha of 1 means full agreement, and 0 means as much agreement as by chance. A negative alpha means less than by
    chance. The arithmetic is exact, and its time grows linearly with the number of scores. The results equal those of
    the package `krippendorff`. But that package needs an array of samples x values x values, which takes gigabytes for
    100,000 samples.

    Scores must be integers. To measure the agreement of mean scores, multiply all means by a number that makes them
    integers. This does not change alpha.
    """

    def __init__(self) -> None:
        # number of scores m of a sample -> sum of squared differences over ordered pairs
        self._within: defaultdict[int, int] = defaultdict(int)
        self._count = self._total = self._squares = 0

    def add(self, unit: Sequence[int]) -> None:
        """Add the scores of one sample. A sample with fewer than two scores is ignored."""
        m = len(unit)
        if m < 2:
            return
        s, q = sum(unit), sum(x * x for x in unit)
        self._within[m] += 2 * (m * q - s * s)
        self._count, self._total, self._squares = self._count + m, self._total + s, self._squares + q

    @classmethod
    def joined(cls, parts: Iterable[Agreement]) -> Agreement:
        """Return one `Agreement` that covers the samples of all `parts`."""
        whole = cls()
        for part in parts:
            for m, pairs in part._within.items():
                whole._within[m] += pairs
            whole._count += part._count
            whole._total += part._total
            whole._squares += part._squares
        return whole

    def alpha(self) -> float | None:
        """Return alpha. None if alpha is undefined, because no sample has two scores or all scores are the same."""
        between = 2 * (self._count * self._squares - self._total * self._total)
        if between == 0:
            return None
        observed = sum((Fraction(pairs, m - 1) for m, pairs in self._within.items()), Fraction(0)) / self._count
        expected = Fraction(between, self._count * (self._count - 1))
        return float(1 - observed / expected)
