"""Checks the options of a comparison, the experiment's `compare` mapping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from gra.compare.statistics.bootstrap import LEVEL, RESAMPLES
from gra.compare.statistics.resampling import least_resamples
from gra.errors import Problem
from gra.settings import Settings, parse


class PaperOptions(Settings):
    """Maps arms to rows of the paper's tables, and tasks to columns."""

    block: str = Field(
        "all",
        description="Part of the paper's tables, MODEL/SEED_DATA, for arms that are named like its data (gra, vanilla, ...); all: "
        "`rows` gives MODEL/SEED_DATA/DATA.",
    )
    rows: dict[str, str] = Field(
        default_factory=dict,
        description="Mapping from arm to its row in the paper's tables, as MODEL/SEED_DATA/DATA or DATA.",
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="Mapping from a benchmark of the paper to the task that corresponds to it."
    )


class Options(Settings):
    """Options of the comparison. They change only how results are summarised and shown."""

    resamples: int = Field(RESAMPLES, ge=100, le=1_000_000, description="Bootstrap resamples for intervals over items.")
    level: float = Field(LEVEL, gt=0, lt=1, description="Coverage of the intervals.")
    seed: int = Field(0, ge=0, description="Seed of the bootstrap only.")
    items_only: bool = Field(
        False,
        description="true: intervals and stars are over items only, even with several training runs, so they apply to "
        "these trained models only; false: over training runs too, if there are several.",
    )
    contrasts: list[str] = Field(
        default_factory=list,
        description="Further differences to test: A-B for two arms, or A1+A2-B1+B2 for the means of several.",
    )
    best: list[str] = Field(
        default_factory=list,
        description="Choices of the best of several arms, A+B+C: on a development split of the items, and as the paper does.",
    )
    paper: PaperOptions | None = Field(
        None, description="Show the arms next to the paper's tables and judge its claims; null: do not."
    )
    power: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Difference in points: print how many items and training runs are needed to detect it; null: do not.",
    )

    @property
    def bootstrap(self) -> dict[str, Any]:
        """The options of the bootstrap, as arguments of `statistics.contrasts.contrast`."""
        return {name: getattr(self, name) for name in ("resamples", "seed", "level", "items_only")}

    samples: int | None = Field(
        None,
        ge=0,
        description="Maximum number of samples in the report's browser; null: as many as fit its size limit.",
    )
    map: bool = Field(
        False,
        description="true: the report has a map of the arms' instructions (those not in the cache are embedded, 5 to 20 ms of one "
        "core each, 3,000 at most); false: it has none.",
    )
    width: int = Field(120, ge=80, le=1000, description="Width of the terminal table in characters.")


def check(options: Mapping[str, Any], benchmarks: int = 0) -> list[Problem]:
    """Return all faults of the options. `benchmarks`: the number of benchmarks to compare, or 0 if it is not known."""
    settings, problems = parse(Options, options, "compare")
    return problems if settings is None else enough(settings.resamples, benchmarks, settings.level)


def enough(resamples: int, benchmarks: int, level: float) -> list[Problem]:
    """Return a fault if `resamples`, the number of resamples, is too small for any difference to be significant.
    Otherwise return [].

    With few resamples, even the smallest possible p-value is too large after Holm's correction for several benchmarks.
    """
    least = least_resamples(benchmarks, level) if benchmarks else 0
    if resamples >= least:
        return []
    tests = f"Holm's correction over {benchmarks} benchmarks at the {100 * (1 - level):g} % level"
    what = f"with {resamples:,} resamples even the largest difference cannot pass {tests}"
    return [Problem("compare.resamples", what, f"at least {least:,}; the default is {RESAMPLES:,}")]
