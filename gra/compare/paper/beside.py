"""Shows arms beside the paper's rows: for each benchmark, each group and the mean, the paper's score, the arm's score,
and their difference with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gra.compare.paper import opendataarena
from gra.compare.paper.claims import deltas
from gra.compare.paper.evidence import PaperEvidence
from gra.compare.paper.opendataarena import Entry
from gra.compare.paper.runs import RunsEvidence
from gra.compare.paper.tables import PaperRow, RowKey
from gra.compare.statistics.bootstrap import Interval, Range, level_of
from gra.compare.statistics.power import detectable
from gra.compare.tables.numbers import MISSING, interval, percent, points, span
from gra.compare.tables.sheet import Sheet

HEADINGS = (
    *(
        "Arm",
        "Benchmark",
        "Paper's items",
        "Paper",
        "Ours",
        "Ours minus paper",
        "Detectable",
        "Strict",
        "OpenCompass",
        "Tolerant",
    ),
    "OpenDataArena",
)
MARK = " (simulated)"
SIMULATED = "Simulated: our scores marked so were made from simulated models; they say nothing about the paper."
READINGS = ("strict", "opencompass", "tolerant")
NOTES = (
    "Paper: percent, as printed; means are recomputed from the scores, and a printed mean that differs is in brackets. "
    "Ours: read by OpenCompass's rules where the replies were read so (`gra rescore --reading opencompass`), else strict.",
    "The interval of the difference has both errors: ours, and the paper's sampling variance p (1 - p) / n with n items "
    "(results/paper/benchmarks.csv). Both are taken as independent although the items are the same, and the paper's "
    "training noise is unknown. Detectable: the smallest true difference that such a comparison sees four times in five.",
    "Strict, OpenCompass, Tolerant: our scores by each reading of the same replies. A dash: not measured. "
    "eval/MAPPING.md says what differs from the paper's tasks.",
    "OpenDataArena: the same base model, untrained or tuned on the same seed data, with another recipe and other prompts "
    "(results/paper_check/opendataarena.md); MATH is MATH-500 there.",
)


def records(
    runs: RunsEvidence, paper: PaperEvidence, entries: Sequence[Entry], labels: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return records. Each record holds one score of an arm and the paper's score that corresponds to it.

    For each arm, there is a record per benchmark, one per group of benchmarks and one for the mean over all benchmarks.
    If the arm was not evaluated on all benchmarks of a record, this record has None as the arm's score. If it was
    evaluated on at least two but not all benchmarks of the paper, a further record has the arm's mean and the paper's
    mean over these benchmarks.

    `labels`: arm -> label.
    """
    return [
        record for key, arm in runs.rows.items() for record in _records(key, arm, labels[arm], runs, paper, entries)
    ]


def sheet(records: Sequence[Mapping[str, Any]], runs: RunsEvidence, paper: PaperEvidence) -> Sheet:
    """Return a sheet with one line for each record in `records`."""
    notes = list(NOTES)
    if any(record["simulated"] for record in records):
        notes.insert(0, SIMULATED)
    used = {name: one.note for name, one in paper.benchmarks.items() if one.note and name in runs.columns}
    notes += [f"{name}: {note}." for name, note in used.items()]
    lines = [_line(record) for record in records]
    return Sheet("Beside the paper's tables", HEADINGS, lines, notes, [_plain(record) for record in records], words=2)


def _records(
    key: RowKey, arm: str, label: str, runs: RunsEvidence, paper: PaperEvidence, entries: Sequence[Entry]
) -> list[dict[str, Any]]:
    known = paper.benchmarks
    groups: dict[str, list[str]] = {}
    for name, one in known.items():
        groups.setdefault(one.group, []).append(name)
    scored = {reading: runs.scores(arm, reading) for reading in READINGS}
    main = runs.reading([arm])
    have = scored[main]
    whole = {f"({name})": tasks for name, tasks in groups.items()}
    if 1 < len(have) < len(known):
        whole[f"mean of {len(have)}"] = list(have)
    whole["mean"] = list(known)
    levels = {
        reading: level_of(
            own, **runs.options, groups={n: tasks for n, tasks in whole.items() if set(tasks) <= set(own)}
        )
        for reading, own in scored.items()
        if own
    }
    entry = opendataarena.counterpart(entries, key)
    simulated = runs.evaluated.simulated(arm)
    found = []
    for name, tasks in {**{name: [name] for name in known}, **whole}.items():
        ours = {reading: _of(levels.get(reading), name) for reading in READINGS}
        theirs = paper.contrast({key: 1.0}, tasks)
        change = next(iter(deltas([ours[main]], [theirs])), None)
        found.append(
            {
                "arm": arm,
                "label": label,
                "simulated": simulated,
                "row": str(key),
                "benchmark": name,
                "items": known[name].items if name in known else None,
                "paper": theirs,
                "printed": _printed(paper.table.get(key), name),
                "reading": "verified" if main == "strict" and runs.evaluated.verified(arm) else main,
                "ours": ours[main],
                "delta": change,
                "detectable": _detectable(change, paper.level),
                **ours,
                "opendataarena": opendataarena.score(entry, known[name]) if name in known else None,
            }
        )
    return found


def _of(level: Any, name: str) -> Range | None:
    if level is None:
        return None
    found = level.tasks.get(name) or level.groups.get(name)
    return found if isinstance(found, Range) else None


def _printed(row: PaperRow | None, name: str) -> float | None:
    """Return the printed mean if it is a misprint, i.e. not the mean of the row's scores; else None."""
    return float(row.printed) / 100 if row is not None and name == "mean" and row.misprint else None


def _detectable(change: Range | None, level: float) -> float | None:
    return None if change is None else detectable(Interval(change.value, change.low, change.high, 1.0), level)


def _line(record: Mapping[str, Any]) -> list[str]:
    theirs = record["paper"]
    paper = MISSING if theirs is None else f"{100 * theirs.value:.2f}"
    if record["printed"] is not None:
        paper += f" (printed {100 * record['printed']:.2f})"
    oda = record["opendataarena"]
    return [
        record["label"],
        record["benchmark"],
        MISSING if record["items"] is None else f"{record['items']:,}",
        paper,
        span(record["ours"]) + (MARK if record["simulated"] and record["ours"] is not None else ""),
        interval(record["delta"]),
        points(record["detectable"]).removeprefix("+"),
        *(percent(None if record[reading] is None else record[reading].value) for reading in READINGS),
        MISSING if oda is None else f"{oda:.2f}",
    ]


def _plain(record: Mapping[str, Any]) -> dict[str, object]:
    """The record for CSV: shares, in full precision."""
    found: dict[str, object] = {}
    for key, value in record.items():
        if key in ("paper", "ours", "delta", *READINGS):
            found[key] = value.value if value is not None else None
            if key in ("ours", "delta"):
                found |= {f"{key}.low": value.low if value else None, f"{key}.high": value.high if value else None}
        else:
            found[key] = value / 100 if key == "opendataarena" and value is not None else value
    return found
