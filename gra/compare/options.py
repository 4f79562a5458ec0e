"""Checks the options of a comparison, the experiment's `compare` mapping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from gra.compare.bootstrap import LEVEL, RESAMPLES
from gra.compare.resampling import least_resamples
from gra.errors import Problem
from gra.settings import Settings, parse


class PaperOptions(Settings):
    """Which arms and tasks are which rows and columns of the paper's tables."""

    block: str = Field(
        "all", description="BASE/SEED of arms named like the paper's data (gra, vanilla, ...); all: BASE/SEED/DATA."
    )
    rows: dict[str, str] = Field(default_factory=dict, description="Arm: row, as BASE/SEED/DATA or DATA.")
    columns: dict[str, str] = Field(default_factory=dict, description="Benchmark of the paper: task of ours.")


class Options(Settings):
    """All have defaults; they change only how results are summarised and shown."""

    resamples: int = Field(RESAMPLES, ge=100, le=1_000_000, description="Bootstrap resamples for intervals over items.")
    level: float = Field(LEVEL, gt=0, lt=1, description="Coverage of the intervals.")
    seed: int = Field(0, ge=0, description="Seed of the bootstrap only.")
    items_only: bool = Field(
        False,
        description="Intervals and stars over items only, for just these trained models, even with several trainings.",
    )
    contrasts: list[str] = Field(
        default_factory=list, description="Further differences: A-B, or means of arms, A1+A2-B1+B2."
    )
    paper: PaperOptions | None = Field(
        None, description="Set the arms beside the paper's tables and judge its claims; null: do not."
    )
    power: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Points: print how many items and trainings are needed to see such a difference; null: do not.",
    )
    samples: int | None = Field(
        None, ge=0, description="Most samples to browse in the report; null: as many as it has place for."
    )
    width: int = Field(120, ge=80, le=1000, description="Columns of the terminal table.")


def check(options: Mapping[str, Any], benchmarks: int = 0) -> list[Problem]:
    """All faults of the options. `benchmarks`: how many will be compared; 0 if unknown."""
    settings, problems = parse(Options, options, "compare")
    return problems if settings is None else enough(settings.resamples, benchmarks, settings.level)


def enough(resamples: int, benchmarks: int, level: float) -> list[Problem]:
    """A fault if no p-value of so few resamples can pass Holm's correction over so many benchmarks; else []."""
    least = least_resamples(benchmarks, level) if benchmarks else 0
    if resamples >= least:
        return []
    tests = f"Holm's correction over {benchmarks} benchmarks at the {100 * (1 - level):g} % level"
    what = f"with {resamples:,} resamples even the largest difference cannot pass {tests}"
    return [Problem("compare.resamples", what, f"at least {least:,}; the default is {RESAMPLES:,}")]
