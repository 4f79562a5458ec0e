"""PURE: prepares plots of means and differences with their intervals for the report. All positions are percentages of
the axis.

A plot consists of HTML rows with a small SVG in each row, so that its width follows the reader's screen. A row's colour
says whether the reference scores higher, the other arm scores higher, or neither is certain (the interval contains
zero).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gra.compare.statistics.bootstrap import Interval, Range
from gra.compare.tables import numbers, table
from gra.compare.tables.notes import label
from gra.compare.tables.rows import Comparison, TableRow


@dataclass(frozen=True)
class Line:
    """One row of a plot. `kind`: the CSS class that gives its colour."""

    name: str
    text: str
    low: str
    middle: str
    high: str
    kind: str = ""
    p: str = ""
    overall: bool = False


@dataclass(frozen=True)
class Axis:
    """The common axis of all rows of a plot, from `low` to `high`. `ticks`: a pair for each tick: its position, in
    percent of the axis, and its label."""

    low: float
    high: float
    ticks: list[tuple[str, str]] = field(default_factory=list)

    def place(self, value: float) -> str:
        return f"{100 * (value - self.low) / (self.high - self.low):.2f}"


def axis(low: float, high: float, about: int = 5) -> Axis:
    """Return an axis that includes `low` and `high` and starts and ends at round numbers. `about`: the approximate
    number of intervals into which ticks divide the axis."""
    span = max(high - low, 1e-9)
    power = 10.0 ** math.floor(math.log10(span / about))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= span / about * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    whole = Axis(first * step, last * step)
    return Axis(whole.low, whole.high, [(whole.place(k * step), f"{k * step:g}") for k in range(first, last + 1)])


def means(comparison: Comparison) -> dict[str, Any] | None:
    """Return a plot of the arms' means, each with its interval; None if no arm has scores."""
    shown = [(row, row.interval) for row in comparison.rows if row.mean is not None and row.interval is not None]
    if not shown:
        return None
    scale = axis(*_reach([found for _, found in shown]))
    lines = [
        _line(label(row, comparison), found, numbers.span(found), scale, kind="reference" if row.reference else "")
        for row, found in shown
    ]
    return {"lines": lines, "ticks": scale.ticks, "marks": [place for place, _ in scale.ticks]}


def differences(comparison: Comparison) -> dict[str, Any] | None:
    """Return a plot for each arm that was compared with the reference. The plot shows the differences between this
    arm's scores and the reference's. Return None if no arm was compared with the reference. All plots have the same
    axis, which includes zero."""
    compared = [row for row in comparison.rows if row.difference is not None]
    if not compared:
        return None
    low, high = _reach([found for row in compared for found in _intervals(row).values()])
    scale = axis(min(low, 0.0), max(high, 0.0), about=6)
    shown = table.names(comparison.tasks)
    plots = []
    for row in compared:
        lines = []
        for name, found in _intervals(row).items():
            adjusted = row.difference is not None and row.difference.claims and name
            p = f"p {row.adjusted['strict'][name]:.3f}" if adjusted else ""
            words = numbers.interval(found)
            lines.append(
                _line(shown[name] if name else "Mean", found, words, scale, kind=kind(found), p=p, overall=not name)
            )
        plots.append({"label": row.label, "over": table.over(row), "lines": lines})
    return {"plots": plots, "ticks": scale.ticks, "zero": scale.place(0.0)}


def kind(found: Interval) -> str:
    """Return the CSS class of a difference, which is reference minus arm. The class is "for" if the confidence interval
    of the difference is above zero, "against" if it is below zero, and "open" if it contains zero."""
    return "for" if found.low > 0 else "against" if found.high < 0 else "open"


def _line(name: str, found: Range, words: str, scale: Axis, **more: Any) -> Line:
    low, middle, high = (scale.place(100 * value) for value in (found.low, found.value, found.high))
    return Line(name, words, low, middle, high, **more)


def _reach(found: Sequence[Range]) -> tuple[float, float]:
    return min(100 * one.low for one in found), max(100 * one.high for one in found)


def _intervals(row: TableRow) -> dict[str, Interval]:
    """The intervals by name: the mean's under "", then each benchmark's. The mean's is left out unless it is over all
    benchmarks."""
    assert row.difference is not None
    mean = row.mean_difference("strict")
    return ({"": mean} if mean is not None else {}) | row.difference.tasks
