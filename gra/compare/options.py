"""The options of a comparison (the experiment's `compare` mapping), checked like any other settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from gra.compare.bootstrap import LEVEL, RESAMPLES
from gra.compare.resampling import least_resamples
from gra.errors import Problem
from gra.settings import Settings, parse


class Options(Settings):
    """All have defaults; none changes what was trained or measured, only how it is summed up and shown."""

    resamples: int = Field(RESAMPLES, ge=100, le=1_000_000, description="Bootstrap resamples, where intervals are over items.")
    level: float = Field(LEVEL, gt=0, lt=1, description="Coverage of the intervals.")
    seed: int = Field(0, ge=0, description="Seed of the bootstrap and of nothing else.")
    items_only: bool = Field(
        False, description="Intervals and stars over items, for just these trained models, however often arms were trained."
    )
    samples: int = Field(20, ge=0, le=1000, description="Samples to browse in the report, kept and rejected ones.")
    width: int = Field(120, ge=80, le=1000, description="Columns of the terminal table.")


def check(options: Mapping[str, Any], benchmarks: int = 0) -> list[Problem]:
    """Every fault of the options at once; [] if there is none. `benchmarks`: how many will be compared, as far as known."""
    settings, problems = parse(Options, options, "compare")
    return problems if settings is None else enough(settings.resamples, benchmarks, settings.level)


def enough(resamples: int, benchmarks: int, level: float) -> list[Problem]:
    """A fault where so few resamples cannot make any p-value small enough for Holm's correction over so many benchmarks."""
    least = least_resamples(benchmarks, level) if benchmarks else 0
    if resamples >= least:
        return []
    tests = f"Holm's correction over {benchmarks} benchmarks at the {100 * (1 - level):g} % level"
    what = f"with {resamples:,} resamples no difference, however large, could pass {tests}"
    return [Problem("compare.resamples", what, f"at least {least:,}; the default is {RESAMPLES:,}")]
