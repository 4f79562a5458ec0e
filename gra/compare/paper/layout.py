"""PURE: the comparison in the layout of the paper's Table 1. Each arm has a line with the paper's
row and a line with our scores; each benchmark has a column.

gra compare gra=A vanilla=B --paper Qwen2.5-7B/Alpaca --output tables    # tables/table1.tex
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gra.compare.paper.tables import BENCHMARKS
from gra.compare.tables.numbers import MISSING, percent
from gra.compare.tables.sheet import Sheet

NOTES = (
    "Percent. Paper: as printed, its mean recomputed from its scores. Ours: by the reading of `paper`. The mean is over all ten "
    "benchmarks; a dash: not measured. Intervals and what differs from the paper's tasks: the sheet `paper`, eval/MAPPING.md.",
)


def sheet(records: Iterable[Mapping[str, Any]]) -> Sheet:
    """Return a sheet of the records of `beside.records` with two lines per arm. Like all sheets, it needs booktabs in
    LaTeX."""
    arms: dict[str, dict[str, Mapping[str, Any]]] = {}
    for record in records:
        arms.setdefault(str(record["label"]), {})[str(record["benchmark"])] = record
    columns = (*BENCHMARKS, "mean")
    other = {
        label: str(one["row"])
        for label, found in arms.items()
        for one in list(found.values())[:1]
        if str(one["arm"]) not in (str(one["row"]), str(one["row"]).rpartition("/")[2])
    }
    notes = [*NOTES, *([f"{', '.join(f'{label} is {row}' for label, row in other.items())}."] if other else [])]
    lines = [
        [label, words, *(_cell(found.get(name), key) for name in columns)]
        for label, found in arms.items()
        for words, key in (("paper", "paper"), ("ours", "ours"))
    ]
    return Sheet("The layout of the paper's Table 1", ("Arm", "Scores", *columns), lines, notes, words=2)


def _cell(record: Mapping[str, Any] | None, key: str) -> str:
    found = record[key] if record is not None else None
    return MISSING if found is None else percent(found.value)
