"""PURE: shows a comparison in the layout of the paper's Table 1. Each arm has a line with the paper's scores and a line
with its own scores; each benchmark has a column.

gra compare gra=A vanilla=B --paper Qwen2.5-7B/Alpaca --output tables    # tables/table1.tex
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gra.compare.paper.beside import MARK, SIMULATED
from gra.compare.paper.tables import BENCHMARKS
from gra.compare.tables.numbers import MISSING, percent
from gra.compare.tables.sheet import Sheet

NOTES = (
    "Percent. Paper: as printed, its mean recomputed from its scores. Ours: by the reading of `paper`. The mean is over all ten "
    "benchmarks; a dash: not measured. Intervals and what differs from the paper's tasks: the sheet `paper`, eval/MAPPING.md.",
)


def sheet(records: Iterable[Mapping[str, Any]]) -> Sheet:
    """Return a sheet (table) with two lines per arm: the paper's scores and the arm's own scores. `records`: the result
    of `beside.records`. As LaTeX, the sheet needs the package booktabs."""
    arms: dict[str, dict[str, Mapping[str, Any]]] = {}
    for record in records:
        arms.setdefault(str(record["arm"]), {})[str(record["benchmark"])] = record
    columns = (*BENCHMARKS, "mean")
    lines, others, made_up = [], [], False
    for arm, found in arms.items():
        one = next(iter(found.values()))
        label, row, made_up = str(one["label"]), str(one["row"]), made_up or one["simulated"]
        if arm not in (row, row.rpartition("/")[2]):
            others.append(f"{label} is {row}")
        for words, key in (("paper", "paper"), (f"ours{MARK}" if one["simulated"] else "ours", "ours")):
            lines.append([label, words, *(_cell(found.get(name), key) for name in columns)])
    notes = [*NOTES, *([SIMULATED] if made_up else []), *([f"{', '.join(others)}."] if others else [])]
    return Sheet("The layout of the paper's Table 1", ("Arm", "Scores", *columns), lines, notes, words=2)


def _cell(record: Mapping[str, Any] | None, key: str) -> str:
    found = record[key] if record is not None else None
    return MISSING if found is None else percent(found.value)
