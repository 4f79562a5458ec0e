"""Do the comparison's intervals hold the truth, and how often is a benchmark starred by chance? A simulation with the product's own
functions.

    python benchmarks/intervals.py                      # 1,000 pairs of arms a cell, the table of benchmarks/README.md
    python benchmarks/intervals.py --trials 100         # a look

Two arms of the same recipe, so that the true difference is nothing, on ten benchmarks of the paper's sizes. An item is answered
rightly with a chance of its own (Beta(0.8, 0.8), drawn in to 0.08 to 0.92), the same for both arms; each training moves all chances
by a noise common to all benchmarks and another of each benchmark's own, both with the standard deviation `noise`. With clusters
(all ten benchmarks in so many of unequal size) each arm and each training moves each cluster's chances by 2 points, too (standard
deviation): recipes that suit some subjects better than others, and training runs that do.

`covers`: the share of trials whose 95 % interval of the mean difference holds 0. `half width`: half of that interval in points, the
median over trials. `any star`: the share of trials in which at least one benchmark is starred, at 5 % after Holm's correction over
the ten. Where either arm was trained once there are no stars; where both were, intervals are over items, and `items only` gives
stars, which claim something where there is no noise of training.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from harness import machine, table
from numpy.typing import NDArray

from gra.compare.statistics.bootstrap import LEVEL, Difference, between
from gra.compare.statistics.item_scores import Table
from gra.compare.statistics.multiple_testing import holm

SIZES = {
    "gsm8k": 1319,
    "math": 5000,
    "humaneval": 164,
    "mbpp": 974,
    "hellaswag": 10042,
    "arc_c": 1172,
    "gpqa": 198,
    "bbh": 6511,
    "mmlu": 14042,
    "ifeval": 541,
}
TRAININGS = ((1, 1), (2, 2), (3, 3), (5, 5), (3, 1))
NOISE = (0.0, 0.01, 0.02)
CLUSTERS = (0, 27, 57)
CLUSTER_EFFECT = 0.02
RESAMPLES = 400  # of arms trained once


@dataclass(frozen=True)
class Cell:
    """What one cell of the table came to; shares, and points of 1/100."""

    trainings: tuple[int, int]
    noise: float
    clusters: int
    items_only: bool
    trials: int
    covers: float
    half_width: float
    any_star: float


def arms(rng: np.random.Generator, trainings: tuple[int, int], noise: float, clusters: int) -> dict[str, Table]:
    """What two arms of one recipe answer, as the comparison's tables: a column a training, the first arm's first."""
    count = sum(trainings)
    common = rng.normal(0, noise, count)
    tables = {}
    for name, n in SIZES.items():
        ease = 0.08 + 0.84 * EASE[rng.integers(0, len(EASE), n)]
        chance = ease[:, None] + (common + rng.normal(0, noise, count))
        member = _members(n, clusters) if clusters else None
        if member is not None:
            moved = rng.normal(0, CLUSTER_EFFECT, (clusters, count))
            for columns in (slice(0, trainings[0]), slice(trainings[0], count)):
                moved[:, columns] += rng.normal(0, CLUSTER_EFFECT, (clusters, 1))
            chance += moved[member]
        tables[name] = Table([], (rng.random((n, count)) < chance).astype(np.float64), member)
    return tables


def _members(n: int, clusters: int) -> NDArray[np.int64]:
    """The cluster of each of n items: the largest is some ten times the smallest, none is empty."""
    sizes = np.geomspace(1, 10, clusters)
    edges = np.floor(np.cumsum(sizes) / sizes.sum() * (n - clusters)) + np.arange(1, clusters + 1)
    return np.searchsorted(edges, np.arange(n), side="right").astype(np.int64)


# of items, drawn from by place: many times faster than the distribution
EASE = np.random.default_rng(0).beta(0.8, 0.8, 4096)


def cell(
    trainings: tuple[int, int], noise: float, clusters: int, trials: int, *, items_only: bool = False, seed: int = 0
) -> Cell:
    """Simulate one cell of the table."""
    held = starred = 0
    widths = []
    for trial in range(trials):
        rng = np.random.default_rng([seed, trial, *trainings, round(1000 * noise), clusters])
        found = compared(arms(rng, trainings, noise, clusters), trainings, items_only, trial)
        held += found.mean.low <= 0 <= found.mean.high
        widths.append((found.mean.high - found.mean.low) / 2)
        starred += found.claims and min(holm(found.family).values()) <= 1 - LEVEL
    shown = float(100 * np.median(widths))
    return Cell(trainings, noise, clusters, items_only, trials, held / trials, shown, starred / trials)


def compared(tables: dict[str, Table], trainings: tuple[int, int], items_only: bool, seed: int) -> Difference:
    """What `gra compare` says of two arms."""
    return between(tables, trainings, resamples=RESAMPLES, seed=seed, level=LEVEL, groups={}, items_only=items_only)


def cells(trials: int, which: Sequence[tuple[int, int]] = TRAININGS) -> list[Cell]:
    """The whole table: every number of training runs, noise and clustering; one training also with stars over items alone."""
    made = []
    for trainings in which:
        for clusters in CLUSTERS:
            for noise in NOISE:
                made.append(cell(trainings, noise, clusters, trials))
                print(made[-1], flush=True)
            if trainings == (1, 1):
                made.append(cell(trainings, 0.0, clusters, trials, items_only=True))
                print(made[-1], flush=True)
    return made


def lines(found: Sequence[Cell]) -> list[list[Any]]:
    """The table's lines: a line for each number of training runs and clustering, the noises side by side."""
    rows: dict[tuple[Any, ...], list[Any]] = {}
    for one in found:
        first, second = one.trainings
        name = f"{first} and {second}{', items only' if one.items_only else ''}"
        row = rows.setdefault((name, one.clusters), [name, one.clusters or "none"])
        row.append(f"{100 * one.covers:.1f} / {one.half_width:.2f} / {100 * one.any_star:.1f}")
    return [row + [None] * (len(NOISE) + 2 - len(row)) for row in rows.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="write the cells to this file")
    given = parser.parse_args()
    print(machine())
    start = time.perf_counter()
    found = cells(given.trials)
    headings = [
        "training runs",
        "clusters",
        *(f"noise {100 * noise:g}: covers % / half width / any star %" for noise in NOISE),
    ]
    print(table(headings, lines(found)))
    worst = [one for one in found if not one.items_only and min(one.trainings) > 1 and not 0.93 <= one.covers <= 0.97]
    print(f"{len(worst)} cells of two training runs and more outside 93 to 97 %; {time.perf_counter() - start:.0f} s")
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in found], indent=1))


if __name__ == "__main__":
    main()
