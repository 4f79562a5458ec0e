"""PURE: measures how varied texts are, by words, labels and vectors. A measure is None if there is too little data."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

_WORD = re.compile(r"\w+|[^\w\s]")


def distinct(texts: Iterable[str], n: int) -> float | None:
    """Return distinct-n, which is the number of different word n-grams divided by the number of all word n-grams.

    It falls as the number of texts grows, so compare only sets of equal size. Source: Li et al. 2016, arXiv 1510.03055.
    """
    count: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        words = _WORD.findall(text.casefold())
        count.update(zip(*(words[start:] for start in range(n)), strict=False))
    return len(count) / count.total() if count else None


def entropy(labels: Iterable[str]) -> float | None:
    """Return the Shannon entropy of the labels in bits.

    If all labels are equal, it is 0. If k labels are equally frequent, it is log2(k).
    """
    count = Counter(labels)
    whole = count.total()
    return -sum(c / whole * math.log2(c / whole) for c in count.values()) + 0.0 if whole else None


def dispersion(vectors: Matrix) -> float | None:
    """Return the mean cosine distance between two texts, over all pairs of texts. If all texts are alike, it is 0.

    `vectors`: the embeddings of the texts, as unit vectors.
    """
    n = len(vectors)
    if n < 2:
        return None
    total = vectors.astype("float64").sum(axis=0)
    return float(1 - (total @ total - n) / (n * (n - 1)))


def nearest(vectors: Matrix, others: Matrix, *, same: bool = False, block: int = 1024) -> list[float]:
    """Return the cosine distance from each vector to the nearest vector in `others`. All vectors must be unit vectors.

    If there is nothing to compare with, return [].
    `same`: whether `others` is the same list as `vectors`. If so, no vector is compared with itself.
    `block`: how many vectors are compared in one multiplication.
    """
    if len(others) <= int(same):
        return []
    found: list[float] = []
    for start in range(0, len(vectors), block):
        close = vectors[start : start + block] @ others.T
        if same:
            for row in range(len(close)):
                close[row, start + row] = -2.0
        found += [max(0.0, float(1 - value)) for value in close.max(axis=1)]
    return found


def median(values: Sequence[float]) -> float | None:
    """Return the median; None without values."""
    return statistics.median(values) if values else None
