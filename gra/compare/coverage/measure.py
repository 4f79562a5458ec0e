"""Draws samples of data sets, embeds them, and finds where they lie and how many clusters each set covers.

    gra analyze data/mine data/other --output analysis.json      # or gra report data/mine data/other

Of samples with the same instruction, only one is used. At most MOST samples of each set are drawn, and at most ALL of
all sets together. A hash of seed and text decides which, so the draw does not depend on the order of the samples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gra.compare.coverage.projection import project
from gra.compare.coverage.shares import ENOUGH, averaged, clusters
from gra.compare.statistics.bootstrap import Range

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Embed = Callable[[Sequence[str]], NDArray[np.float32]]

# limits on instructions of one set and of all sets: 1,000 take 4 s of one core in t-SNE, 5 to 20 s to embed
MOST, ALL = 2000, 3000
LEAST = 30  # distinct instructions that a set needs to be drawn
SEEDS = "The seeds"  # name of the set of the seeds
Named = Sequence[tuple[str, str]]  # (id, instruction)


@dataclass(frozen=True)
class Located:
    """One data set on a map, which shows where the instructions of several data sets lie in embedding space.

    `samples`: the number of its samples.
    `distinct`: the number of its distinct instructions.
    `points`: (id, x, y) of each drawn sample, with x and y within [0, 1].
    `share`: the expected fraction of the clusters that contain at least one of N random samples of the set, with an
        interval. N is the same for all sets.

    If there is only one set, or if the smallest set has fewer than ENOUGH instructions, `share` is None. For the set of
    the seed samples, it is also None if this set is smaller than every other set.
    """

    name: str
    samples: int
    distinct: int
    points: tuple[tuple[str, float, float], ...]
    share: Range | None


@dataclass(frozen=True)
class Coverage:
    """The data sets on one map, which shows where their instructions lie in embedding space.

    The instructions of the sets are also divided into clusters. The share of a set is the expected fraction of the
    clusters that contain at least one of `size` random samples of the set.

    `size`: the number of samples per set from which the shares were computed. If no set has a share, it is 0.
    `clusters`: the number of clusters. If no set has a share, it is 0.
    `few`: set -> number of its distinct instructions, for the sets that have fewer than LEAST and so are not on the
        map.
    """

    sets: tuple[Located, ...]
    size: int
    clusters: int
    seed: int
    few: dict[str, int] = field(default_factory=dict)


def drawn(samples: Named, most: int, seed: int) -> list[tuple[str, str]]:
    """Return the id and the instruction of at most `most` samples, drawn at random.

    The order is random, too. It depends only on the texts and the seed. If instructions are equal, or differ only in
    case and spaces, only the first sample with one of them is used.
    """
    first: dict[str, tuple[str, str]] = {}
    for name, text in samples:
        first.setdefault(" ".join(text.casefold().split()), (name, text))
    first.pop("", None)
    order = sorted(first, key=lambda text: hashlib.blake2b(f"{seed} {text}".encode("utf-8", "replace")).digest())
    return [first[text] for text in order[:most]]


def measure(
    sets: Mapping[str, Named], embed: Embed, seed: int = 0, seeds: Named = (), total: int = ALL
) -> Coverage | str:
    """Return a map, or a sentence that says why there is no map.

    The map shows where the instructions of the sets lie in embedding space. The instructions are also divided into
    clusters. The share of a set is the expected fraction of the clusters that contain at least one of N random samples
    of the set. N is the same for all sets.

    `sets`: name -> samples (id, instruction).
    `embed`: a function from texts to unit vectors, one row per text. It may raise GraError.
    `seeds`: a further set, which holds the seed samples. It is on the map if it has at least LEAST distinct
        instructions and no other set contains all of them. If it is at least as large as the smallest other set, its
        share is computed, too.
    `total`: limit on the instructions of all sets together.
    """
    every = {name: drawn(samples, len(samples), seed) for name, samples in sets.items()}
    whole = {name: found for name, found in every.items() if len(found) >= LEAST}
    few = {name: len(found) for name, found in every.items() if name not in whole}
    if not whole:
        counts = ", ".join(f"{name} has {count}" for name, count in few.items()) or "there is none"
        return f"No map: it takes at least {LEAST} distinct instructions of a set; {counts}."
    known = drawn(seeds, len(seeds), seed)
    apart = SEEDS not in whole and not any(
        {text for _, text in known} <= {text for _, text in found} for found in whole.values()
    )
    shown = {**whole, SEEDS: known} if len(known) >= LEAST and apart else whole
    most = min(MOST, total // len(shown))
    chosen = {name: found[:most] for name, found in shown.items()}
    texts = list(dict.fromkeys(text for found in chosen.values() for _, text in found))
    place = {text: row for row, text in enumerate(texts)}
    vectors = embed(texts)
    size = min(len(chosen[name]) for name in whole)
    counted = {name: found for name, found in chosen.items() if len(found) >= size}
    tallies = (
        clusters({name: vectors[[place[text] for _, text in found]] for name, found in counted.items()}, size, seed)
        if len(counted) > 1 and size >= ENOUGH
        else {}
    )
    at = project(vectors, seed)
    located = tuple(
        Located(
            name,
            len(sets[name]) if name in sets else len(seeds),
            len(shown[name]),
            tuple((sample, float(at[place[text], 0]), float(at[place[text], 1])) for sample, text in found),
            averaged(tallies[name], size, seed) if name in tallies else None,
        )
        for name, found in chosen.items()
    )
    number = len(next(iter(tallies.values()))[0]) if tallies else 0
    return Coverage(located, size if tallies else 0, number, seed, few)
