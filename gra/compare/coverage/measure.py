"""Draws samples of data sets, embeds them, and finds where they lie and how many clusters each set covers.

    gra analyze data/mine data/other --output analysis.json      # or gra report data/mine data/other

Only distinct instructions count, and of each set at most MOST, of all sets ALL, drawn by the hash of seed and text: the draw
depends on neither order nor place of the samples.
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

MOST, ALL = 2000, 3000  # instructions of a set, of all sets: 1,000 take 4 s of one core in t-SNE, 5 to 20 s to embed
LEAST = 30  # distinct instructions of a set
SEEDS = "The seeds"  # the name of their set
Named = Sequence[tuple[str, str]]  # (id, instruction)


@dataclass(frozen=True)
class Located:
    """One set. `samples`: all of it; `distinct`: its distinct instructions. `points`: (id, x, y) of those drawn, x and y within
    [0, 1]. `share`: of the clusters that are covered; None with a single set, with fewer than
    ENOUGH instructions of the smallest one, or for seeds fewer than that."""

    name: str
    samples: int
    distinct: int
    points: tuple[tuple[str, float, float], ...]
    share: Range | None


@dataclass(frozen=True)
class Coverage:
    """The sets on one map. `size`: samples by which every set is counted; `clusters`: their number. Both are 0 without shares.
    `few`: sets with fewer than LEAST distinct instructions, which are not drawn, and how many they have."""

    sets: tuple[Located, ...]
    size: int
    clusters: int
    seed: int
    few: dict[str, int] = field(default_factory=dict)


def drawn(samples: Named, most: int, seed: int) -> list[tuple[str, str]]:
    """At most `most` samples with distinct instructions (but for case and spaces), in a random order that depends on the texts and
    the seed alone. Of samples with one instruction the first counts."""
    first: dict[str, tuple[str, str]] = {}
    for name, text in samples:
        first.setdefault(" ".join(text.casefold().split()), (name, text))
    first.pop("", None)
    order = sorted(first, key=lambda text: hashlib.blake2b(f"{seed} {text}".encode("utf-8", "replace")).digest())
    return [first[text] for text in order[:most]]


def measure(
    sets: Mapping[str, Named], embed: Embed, seed: int = 0, seeds: Named = (), total: int = ALL
) -> Coverage | str:
    """The map of the sets; or the reason, in a sentence, why there is none. `seeds`: drawn too, and counted if there are as many of
    them as of the smallest set. `total`: most instructions of all sets. `embed` maps texts to unit rows and may raise
    GraError."""
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
