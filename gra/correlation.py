"""PURE: Pearson's correlation of pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean


def pearson(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return Pearson's correlation between the first and the second values of `pairs`, within [-1, 1]. Return None if
    there is no pair, or if the first or the second values are all equal."""
    if not pairs:
        return None
    xs, ys = zip(*pairs, strict=True)
    mx, my = fmean(xs), fmean(ys)
    sx, sy = (math.sqrt(sum((v - m) ** 2 for v in vs)) for vs, m in ((xs, mx), (ys, my)))
    if sx < 1e-9 or sy < 1e-9:
        return None
    return max(-1.0, min(1.0, sum((x - mx) * (y - my) for x, y in pairs) / sx / sy))
