"""Writes the table as CSV in full precision, with one line per arm. Scores are fractions, not percentages; a missing
value is "-". results/README.md explains the columns."""

from __future__ import annotations

import csv
import io

from gra.compare.reading.scores import KINDS
from gra.compare.statistics.bootstrap import Interval, Range
from gra.compare.statistics.power import detectable
from gra.compare.tables.numbers import MISSING
from gra.compare.tables.rows import Comparison, TableRow

OVER = {True: "items and trainings", False: "items"}


def csv_text(comparison: Comparison) -> str:
    """Return the whole table as the text of a CSV file."""
    buffer = io.StringIO()
    lines = [_line(row, comparison) for row in comparison.rows]
    writer = csv.DictWriter(buffer, fieldnames=list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return buffer.getvalue()


def read_csv(text: str) -> list[dict[str, str | float | int | bool | None]]:
    """Return the lines of a table that `csv_text` wrote, with typed values. "-" becomes None, `true` and `false` become
    bool, and numbers become int or float."""
    kept = {"arm", "label"}
    words = set(OVER.values())
    return [
        {key: value if key in kept or value in words else _typed(value) for key, value in line.items()}
        for line in csv.DictReader(io.StringIO(text, newline=""))
    ]


def _line(row: TableRow, comparison: Comparison) -> dict[str, str]:
    found = row.difference
    values: dict[str, object] = {
        "arm": row.name,
        "label": row.label,
        "reference": row.reference,
        "simulated": row.simulated,
        "quantized": bool(row.quantized)
        if row.quantized or row.replicates
        else None,  # unknown where nothing is scored
        "replicates": row.replicates,
        "mean": row.mean,
        "mean.std": row.spread,
        **_own("mean", row.interval),
        "mean.own_over": OVER[row.trainings > 0] if row.interval else None,
        "mean.tolerant": row.tolerant,
        "mean.extraction": row.extraction,
    }
    for kind in KINDS:
        values |= _compared(_name("mean", kind), row.mean_difference(kind), comparison.level)
    values |= {
        "level": found.level if found else None,
        "resamples": found.resamples if found else None,
        "interval_over": OVER[found.over_trainings] if found else None,
        "stars": found.claims if found else None,
        "data_sets": row.facts.sets,
        **row.facts.values,
    }
    for task in comparison.tasks:
        values |= _task(row, task, comparison.level)
    return {key: _value(value) for key, value in values.items()}


def _task(row: TableRow, task: str, level: float) -> dict[str, object]:
    """The columns of one benchmark, prefixed with `task.` to keep them apart from other columns."""
    cell = row.cells.get(task)
    key = f"task.{task}"
    values: dict[str, object] = {
        key: cell.value if cell else None,
        f"{key}.n": cell.n if cell else None,
        **_own(key, cell.interval if cell else None),
        f"{key}.tolerant": cell.tolerant if cell else None,
        f"{key}.extraction": cell.extraction if cell else None,
    }
    for kind in KINDS:
        name = _name(key, kind)
        found = row.differences[kind].tasks.get(task) if kind in row.differences else None
        values |= _compared(name, found, level)
        values[f"{name}.p_holm"] = row.adjusted[kind].get(task) if kind in row.adjusted else None
    return values


def _name(key: str, kind: str) -> str:
    return key if kind == "strict" else f"{key}.{kind}"


def _own(key: str, found: Range | None) -> dict[str, object]:
    return {f"{key}.own_low": found.low if found else None, f"{key}.own_high": found.high if found else None}


def _compared(key: str, found: Interval | None, level: float) -> dict[str, object]:
    return {
        f"{key}.difference": found.value if found else None,
        f"{key}.low": found.low if found else None,
        f"{key}.high": found.high if found else None,
        f"{key}.p": found.p if found else None,
        f"{key}.detectable": detectable(found, level) if found else None,
    }


def _value(value: object) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def _typed(value: str) -> str | float | int | bool | None:
    if value in (MISSING, "true", "false"):
        return {MISSING: None, "true": True, "false": False}[value]
    try:
        return int(value)
    except ValueError:
        return float(value)
