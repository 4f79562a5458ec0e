"""PURE: the share of clusters that a set covers, by vectors alone, so that it does not depend on how a map is projected.

The union of the sets, an equal number of each, is cut into clusters by k-means. A set covers a cluster if one of its samples lies
in it. A larger set covers more by its size alone, so every set counts as `size` samples drawn from it: the mean over all such draws
is exact (rarefaction; Hurlbert 1971, Ecology 52). Intervals: 1.96 standard errors of a bootstrap over a set's samples; the clusters
stay as they are. In simulations with 500 and 1,000 samples, of 50 to 200 clusters of even to very uneven sizes, they held the truth
in 90 to 100 % of 500 trials; with 100 samples and 20 clusters in 87 and 97 %; with 40 in 79 to 96 %, so ENOUGH is 100.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gra.compare.statistics.bootstrap import Range
from gra.intervals import normal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]
    Counts = NDArray[np.int64]

ENOUGH = 100  # samples of the smallest set
PER_CLUSTER = 5  # samples of a set for each cluster: fewer clusters are covered by anything, more by nothing twice
MOST = 200  # clusters
PARTITIONS = 8  # k-means from so many starts, averaged: a single one moves a share by several points
RESAMPLES = 2000
LEVEL = 0.95


def clusters(sets: Mapping[str, Matrix], size: int, seed: int) -> dict[str, list[Counts]]:
    """Count each set's rows by cluster, int [clusters] for each of PARTITIONS. The first `size` rows of each set make the clusters,
    so rows must be in a random order. One thread: the same counts on any number of cores."""
    import numpy as np
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    number = max(2, min(MOST, size // PER_CLUSTER))
    union = np.concatenate([sets[name][:size] for name in sorted(sets)])
    with threadpool_limits(1):
        number = min(number, len(np.unique(union, axis=0)))
        cuts = [KMeans(number, n_init=1, random_state=seed + turn).fit(union) for turn in range(PARTITIONS)]
        return {
            name: [np.bincount(cut.predict(rows), minlength=number).astype(np.int64) for cut in cuts]
            for name, rows in sets.items()
        }


def averaged(partitions: Sequence[Counts], size: int, seed: int) -> Range:
    """The mean of `covered` over the partitions. The mean of their bounds is wide enough: the partitions share their samples."""
    found = [covered(counts, size, seed) for counts in partitions]
    return Range(*(math.fsum(getattr(one, key) for one in found) / len(found) for key in ("value", "low", "high")))


def covered(counts: Counts, size: int, seed: int, *, resamples: int = RESAMPLES, level: float = LEVEL) -> Range:
    """The share of clusters that `size` samples of a set cover on average, with its interval. Raises ValueError for fewer samples
    than `size`."""
    import numpy as np

    total = int(counts.sum())
    if not 0 < size <= total:
        raise ValueError(f"{size} of {total} samples cannot be drawn")
    missed = _missed(total, size)
    value = float(1 - missed[counts].mean())
    again = np.random.default_rng(seed).multinomial(total, likely(counts), size=resamples)
    reach = normal(level) * float((1 - missed[again].mean(axis=1)).std())
    return Range(value, max(0.0, value - reach), min(1.0, value + reach))


def likely(counts: Counts) -> NDArray[np.float64]:
    """The estimated probability of each cluster. Bare shares would never draw a cluster without samples and make intervals too
    narrow, so these get the part that samples seen once suggest is unseen (Chao, Gotelli et al. 2014, Ecological Monographs 84,
    appendix G; here the number of clusters is known)."""
    import numpy as np

    total = int(counts.sum())
    shares = counts / total
    once, twice, empty = (int((counts == n).sum()) for n in (1, 2, 0))
    if total < 2 or not once or not empty:
        return shares
    seen = 1 - once / total * ((total - 1) * once / ((total - 1) * once + 2 * twice))
    lost = (shares * (1 - shares) ** total).sum()
    found = shares * (1 - (1 - seen) / lost * (1 - shares) ** total)
    guess = (total - 1) / total * (once**2 / (2 * twice) if twice else once * (once - 1) / 2)
    number = min(empty, max(1, math.ceil(guess)))
    found[np.flatnonzero(counts == 0)[:number]] = (1 - seen) / number
    found = np.maximum(found, 0.0)
    whole: NDArray[np.float64] = found / found.sum()
    return whole


def _missed(total: int, size: int) -> NDArray[np.float64]:
    """[total + 1]: the probability that `size` of `total` samples, drawn without return, are none of the n in a cluster."""
    import numpy as np

    logs = [
        math.lgamma(total - n + 1) + math.lgamma(total - size + 1) - math.lgamma(total + 1) - math.lgamma(left + 1)
        if (left := total - n - size) >= 0
        else -math.inf
        for n in range(total + 1)
    ]
    return np.exp(logs)
