"""PURE: computes the share of a set: the fraction of all clusters that it covers.

It is computed from the embeddings, not from their projection on a map. K-means divides equally many samples of each set
into clusters. A set covers a cluster if at least one of its samples lies in the cluster. A larger set covers more
clusters only because it is larger. So the share is the expected fraction for `size` samples drawn from the set; a
formula gives it exactly (rarefaction; Hurlbert 1971, Ecology 52). The interval is the share plus and minus 1.96
standard errors, from a bootstrap over the set's samples in which the clusters do not change.

In simulations of 500 trials with 500 and 1,000 samples and 50 to 200 clusters of even to very uneven sizes, the
intervals contained the true share in 90 to 100 % of the trials. With 100 samples and 20 clusters, the rates were 87 and
97 %; with 40 samples, they were 79 to 96 %. So ENOUGH is 100.
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
# samples of a set per cluster: with fewer clusters, every set covers all; with more, no set covers a cluster twice
PER_CLUSTER = 5
MOST = 200  # clusters
PARTITIONS = 8  # k-means runs with different starts, averaged: a single run can shift a share by several points
RESAMPLES = 2000
LEVEL = 0.95


def clusters(sets: Mapping[str, Matrix], size: int, seed: int) -> dict[str, list[Counts]]:
    """Divide the rows of all sets into clusters. Return, for each set, how many of its rows each cluster holds.

    The clustering is made PARTITIONS times, with different starting points. So the value for a set is a list of
    PARTITIONS arrays of counts. The clusters are fitted to the first `size` rows of each set, so the rows must be in
    random order. The computation runs in one thread, so that the counts are the same on any number of cores.
    """
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
    """Return the fraction of the clusters that a set of samples covers, as the mean over several clusterings.

    The function `covered` computes this fraction and its interval for one clustering (partition). The bounds of the
    returned interval are the means of the partitions' lower and upper bounds. All partitions have the same samples, so
    averaging them must not make the interval narrower.
    """
    found = [covered(counts, size, seed) for counts in partitions]
    return Range(*(math.fsum(getattr(one, key) for one in found) / len(found) for key in ("value", "low", "high")))


def covered(counts: Counts, size: int, seed: int, *, resamples: int = RESAMPLES, level: float = LEVEL) -> Range:
    """Return the expected fraction of clusters that `size` samples of a set cover, with an interval.

    A cluster is covered if at least one of `size` samples, drawn at random from the set, is in it.
    `counts`: the number of the set's samples in each cluster. Raises ValueError if the set has fewer than `size`
        samples.
    """
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
    """Return, for each cluster, the estimated probability with which the bootstrap draws a sample of this cluster.

    The observed frequencies are not suitable. With them, the bootstrap would never draw a cluster that has no sample
    yet, and intervals would be too narrow. So some of these clusters get a probability, too. Their number and total
    probability are estimated from the numbers of clusters with exactly one and with exactly two samples (Chao, Gotelli
    et al. 2014, Ecological Monographs 84, appendix G). In contrast to that paper, the total number of clusters is known
    here.
    """
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
    """Return an array [total + 1]. Its entry n is the probability that a cluster with n of the `total` samples is
    missed: `size` samples drawn without replacement include none of the n."""
    import numpy as np

    logs = [
        math.lgamma(total - n + 1) + math.lgamma(total - size + 1) - math.lgamma(total + 1) - math.lgamma(left + 1)
        if (left := total - n - size) >= 0
        else -math.inf
        for n in range(total + 1)
    ]
    return np.exp(logs)
