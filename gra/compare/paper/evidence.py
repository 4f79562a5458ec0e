"""Defines the evidence by which claims are judged: weighted sums of rows' scores with intervals. They come from the
paper's own tables or from runs.

The paper's tables print scores, but not the result of each item. A score p on n items has the sampling variance
p (1 - p) / n. The rows that a contrast adds (say, three seed sets) were scored on the same items, so their errors are
added as if they were perfectly correlated. The errors of the rows that it subtracts are treated as independent of
these. Both choices make the interval wider than that of a paired comparison. Where the paper prints only an average
(Table 2), p = 1/2 is assumed for each benchmark, which gives the largest possible error. Training noise is left out,
because each score comes from one training run.
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
    """A number about training data. If `n` is 0, `value` is a count. Otherwise, `value` is a fraction of `n`
    samples."""

    value: float
    n: int = 0


class Evidence(Protocol):
    """A source of scores (0..1) on the paper's benchmarks, and of numbers about training data."""

    @property
    def benchmarks(self) -> Mapping[str, Benchmark]:
        """The paper's benchmarks by name."""

    def contrast(self, weights: Weights, benchmarks: Sequence[str]) -> Range | None:
        """Return a weighted sum of mean scores over `benchmarks`, with its interval. `weights`: row of the paper's
        tables -> weight of its mean score. Return None if a row or a score is missing."""

    def fact(self, row: RowKey, name: str) -> Fact | None:
        """Return a number about the training data of a row. Return None if it is unknown.

        `name` says which number is wanted. `samples`: how many samples were kept. `low_std_share`: the fraction of
        generated samples on whose score the reviewers agree. If the reviewers disagree, another model, the adjudicator,
        decides. `adjudicated_out`: how many samples the adjudicator dropped. `adjudicated_kept`: how many samples the
        adjudicator kept.
        """


@dataclass(frozen=True)
class PaperEvidence:
    """The paper's tables as evidence for its claims. `printed`: whether to use the averages that the paper prints,
    including misprints. If false, averages are recomputed from the printed scores."""

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
        """Return the mean of the row `key` over `benchmarks`, and its standard error. Return None if the paper does not
        print the scores that are needed."""
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
        """Return a number that the paper states about the training data of a row (see `Evidence.fact`).

        The paper states the numbers of samples of the data sets `gra_10k`, `gra_20k`, ... and the fraction of generated
        samples on whose score the reviewers agree. The paper also shows one sample that the adjudicator dropped and one
        that the adjudicator kept. Therefore, `adjudicated_out` and `adjudicated_kept` are 1.
        """
        if name == "samples" and row in self.table and row.data.startswith("gra_"):
            return Fact(1000.0 * int(row.data.removeprefix("gra_").removesuffix("k")))
        if row.data == "gra" and name == "low_std_share":
            return Fact(0.873)
        return Fact(1.0) if row.data == "gra" and name in ("adjudicated_out", "adjudicated_kept") else None
