"""The options of a comparison (the experiment's `compare` mapping), checked like any other settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from gra.compare.bootstrap import LEVEL, RESAMPLES
from gra.errors import Problem
from gra.settings import Settings, parse


class Options(Settings):
    """All have defaults; none changes what was trained or measured, only how it is summed up and shown."""

    resamples: int = Field(RESAMPLES, ge=100, le=1_000_000, description="Bootstrap resamples.")
    level: float = Field(LEVEL, gt=0, lt=1, description="Coverage of the intervals.")
    seed: int = Field(0, ge=0, description="Seed of the bootstrap and of nothing else.")
    samples: int = Field(20, ge=0, le=1000, description="Samples to browse in the report, kept and rejected ones.")
    width: int = Field(120, ge=80, le=1000, description="Columns of the terminal table.")


def check(options: Mapping[str, Any]) -> list[Problem]:
    """Every fault of the options at once; [] if there is none."""
    return parse(Options, options, "compare")[1]
