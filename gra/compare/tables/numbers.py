"""PURE: averages and formats numbers for the table and the report. A missing number is "-", never 0."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from gra.compare.statistics.bootstrap import Range

MISSING = "-"
REFERENCE = "reference"  # in the columns of differences, the cell of the arm that others are compared with


def mean_of(values: Sequence[float | None]) -> float | None:
    """Return the unweighted mean; None if there are no values or if one of them is None."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None


def percent(value: float | None) -> str:
    """Return a fraction as a percentage with one decimal: 0.625 becomes "62.5"."""
    return MISSING if value is None else f"{100 * value:.1f}"


def points(value: float | None) -> str:
    """Return a difference of two fractions as signed percentage points: 0.032 becomes "+3.2"."""
    return MISSING if value is None else f"{round(100 * value, 1) + 0.0:+.1f}"  # + 0.0: no "-0.0"


def span(found: Range | None) -> str:
    """Return a fraction with its interval, as percentages: "62.5 [60.1, 64.8]"."""
    return MISSING if found is None else f"{percent(found.value)} [{percent(found.low)}, {percent(found.high)}]"


def interval(found: Range | None) -> str:
    """Return a difference of two fractions with its interval, in percentage points, e.g. "+3.2 [+0.4, +6.1]"."""
    return MISSING if found is None else f"{points(found.value)} [{points(found.low)}, {points(found.high)}]"


def count(value: float | None) -> str:
    """Return a count with thousands separators. A mean over replicates is rounded to a whole number."""
    return MISSING if value is None else f"{value:,.0f}"


def short(value: float | None) -> str:
    """Return a large count with three digits and a unit: 950, 12.3k, 4.56M, 789G, 1.20T, 3.45P."""
    if value is None:
        return MISSING
    for size, unit in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            scaled = value / size
            return f"{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f}{unit}"
    return f"{value:.0f}"
