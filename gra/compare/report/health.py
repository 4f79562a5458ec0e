"""PURE: formats the committee's health for the report: the figures under the key `health` in stats.json of a synthesis.

gra/synthesis/committee/health.py defines the figures. A value that is missing, as in files of older versions, or
invalid is shown as "-". The file is not trusted, so the template escapes all texts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gra.compare.tables import numbers

HEADINGS = ("Reviewer", "Reviews", "Mean", "SD", "Severity", "Most frequent score, %", "All scores the same, %")
SET_HEADINGS = ("Reviewers of a sample", "Reviewed", "Accepted", "Accepted, %")
MOST, LONGEST = 50, 500  # rows of a table; characters of a warning


@dataclass(frozen=True)
class Health:
    """Statistics that show how well the committee of reviewers works, as strings for the report.

    `figures`: pairs of a statistic's name and its value. `reviewers`: one row of cells per reviewer, in the order of
    HEADINGS. `sets`: one row of cells for each set of reviewers that judged the same samples, in the order of
    SET_HEADINGS. `left_out`: the number of sets of reviewers that are not listed. At most MOST (a constant) are listed.
    """

    figures: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    reviewers: tuple[tuple[str, ...], ...]
    sets: tuple[tuple[str, ...], ...]
    left_out: int


def health(found: Any) -> Health | None:
    """Return statistics that show how well the committee of reviewers works, for the report. `found`: the value of the
    key `health` in stats.json. Return None if stats.json lacks this key or nothing was reviewed."""
    if not isinstance(found, Mapping) or not _number(found.get("samples")):
        return None
    alpha, low, high = (_number(found.get(key)) for key in ("alpha", "alpha_low", "alpha_high"))
    interval = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
    figures = (
        ("Krippendorff's alpha, 95 %", numbers.MISSING if alpha is None else f"{alpha:.2f}{interval}"),
        ("of the variance of mean scores is due to who reviewed", _percent(found.get("draw_share"), " %")),
        ("samples with at least two reviews", numbers.count(_number(found.get("samples")))),
    )
    said = found.get("warnings")
    warnings = tuple(str(words)[:LONGEST] for words in said if isinstance(words, str)) if isinstance(said, list) else ()
    reviewers, sets = _entries(found.get("reviewers")), _entries(found.get("sets"))
    return Health(
        figures,
        warnings,
        tuple(_reviewer(*pair) for pair in reviewers[:MOST]),
        tuple(_set(*pair) for pair in sets[:MOST]),
        max(0, len(sets) - MOST),
    )


def _reviewer(name: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    current = "equal" in entry  # in older files `constant` has the meaning of `equal`
    constant, equal = (entry.get(key) if current else None for key in ("constant", "equal"))
    severity = _number(entry.get("severity"))
    return (
        name,
        numbers.count(_number(entry.get("reviews"))),
        _points(entry.get("mean")),
        _points(entry.get("sd")),
        numbers.MISSING if severity is None else f"{round(severity, 1) + 0.0:+.1f}",
        _percent(constant),
        _percent(equal),
    )


def _set(name: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    reviewed, accepted = (_number(entry.get(key)) for key in ("reviewed", "accepted"))
    share = accepted / reviewed if reviewed and accepted is not None else None
    return name, numbers.count(reviewed), numbers.count(accepted), _percent(share)


def _entries(found: Any) -> list[tuple[str, Mapping[str, Any]]]:
    return [(str(k), v) for k, v in found.items() if isinstance(v, Mapping)] if isinstance(found, Mapping) else []


def _number(value: Any) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None


def _points(value: Any) -> str:
    found = _number(value)
    return numbers.MISSING if found is None else f"{found:.1f}"


def _percent(value: Any, unit: str = "") -> str:
    found = _number(value)
    return numbers.MISSING if found is None else f"{100 * found:.0f}{unit}"
