"""Evidence by which claims are judged: a weighted sum of rows' scores with its interval, from the paper's own tables or
from runs.

*The paper's tables* print scores without results by item. A score p on n items has the sampling variance p (1 - p) / n.
Rows on one side of a contrast (say, three seed sets) answered the same items, so their errors are added as if perfectly
correlated. The errors of the two sides are treated as independent. Both choices make the interval wider than a paired
one. Where only an average is printed (Table 2), p = 1/2 is assumed for each of its benchmarks, which gives the largest
possible error. Training noise is left out, because each cell is one training run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gra.compare.paper.benchmarks import Benchmark
from gra.compare.paper.tables import RowKey, Table
from gra.compare.statistics.bootstrap import LEVEL, Range
from gra.intervals import normal

Weights = Mapping[RowKey, float]


@dataclass(frozen=True)
class Fact:
    """A number about training data: `value` is a share of `n` samples, or a count if `n` is 0."""

    value: float
    n: int = 0


class Evidence(Protocol):
    """A source of scores (shares, 0..1) on the paper's `benchmarks`, and of facts on data."""

    @property
    def benchmarks(self) -> Mapping[str, Benchmark]:
        """The paper's benchmarks by name."""

    def contrast(self, weights: Weights, benchmarks: Sequence[str]) -> Range | None:
        """The weighted sum of the rows' means over `benchmarks`, with its interval; None where a row or a score is missing."""

    def fact(self, row: RowKey, name: str) -> Fact | None:
        """A number of the row's training data. `samples`: samples kept; `low_std_share`: share of proposals on which
        the reviewers agree; `adjudicated_out`, `adjudicated_kept`: samples that the adjudicator dropped and kept."""


@dataclass(frozen=True)
class PaperEvidence:
    """The paper's tables as evidence. `printed`: use the printed averages, misprints included, instead of recomputed ones."""

    table: Table
    benchmarks: Mapping[str, Benchmark]
    level: float = LEVEL
    printed: bool = False

    def contrast(self, weights: Weights, benchmarks: Sequence[str]) -> Range | None:
        """See Evidence."""
        value, plus, minus = 0.0, 0.0, 0.0
        for key, weight in weights.items():
            if (found := self.mean(key, benchmarks)) is None:
                return None
            value += weight * found[0]
            plus, minus = (plus + weight * found[1], minus) if weight > 0 else (plus, minus - weight * found[1])
        value = round(value, 12)
        reach = normal(self.level) * math.hypot(plus, minus)
        return Range(value, value - reach, value + reach)

    def mean(self, key: RowKey, benchmarks: Sequence[str]) -> tuple[float, float] | None:
        """The row's mean over `benchmarks` and its standard error; None if the paper does not print the scores."""
        row = self.table.get(key)
        whole = set(benchmarks) == set(self.benchmarks)
        if row is None or not (row.scores or whole):
            return None
        scores = {name: float(row.scores[name]) / 100 if row.scores else 0.5 for name in benchmarks}
        variance = sum(p * (1 - p) / self.benchmarks[name].items for name, p in scores.items()) / len(scores) ** 2
        use = (row.printed if self.printed else row.mean) if whole else None
        mean = float(use) / 100 if use is not None else sum(scores.values()) / len(scores)
        return mean, math.sqrt(variance)

    def fact(self, row: RowKey, name: str) -> Fact | None:
        """See Evidence. The paper states the sizes of rounds and the share of proposals on which reviewers agree. It
        shows one sample that the adjudicator dropped and one that it kept."""
        if name == "samples" and row in self.table and row.data.startswith("gra_"):
            return Fact(1000.0 * int(row.data.removeprefix("gra_").removesuffix("k")))
        if row.data == "gra" and name == "low_std_share":
            return Fact(0.873)
        return Fact(1.0) if row.data == "gra" and name in ("adjudicated_out", "adjudicated_kept") else None
