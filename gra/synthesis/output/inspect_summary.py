"""Summarises a data folder: the number of samples, the reasons for drops, the calls of each model, the files."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gra.errors import StoreError
from gra.fileio import read_json
from gra.labels import PARTIAL
from gra.reasons import text_of
from gra.synthesis.engine.journal_read import calls_recorded, read_samples
from gra.wellformed import printable

TABLES = ("data/train.parquet", "rejected.parquet")
JOURNAL = "journal.sqlite"
FILES = {
    TABLES[0]: "samples to train on",
    TABLES[1]: "dropped proposals with their reasons",
    "README.md": "the data card",
    "report.html": "the same as a page with all samples, for a browser",
    "stats.json": "all counts",
    "run.json": "time and calls of the run",
    JOURNAL: "all prompts and replies",
    "bad_seeds.jsonl": "seed records that were skipped",
    "manifest.json": "config and inputs",
}
STALE_S = 30.0  # an older status means that the run was killed or hangs


def summary(folder: Path) -> dict[str, Any]:
    """Return a summary of the data folder as a dict that can be written as JSON. Unknown values are None or empty.
    Raises StoreError if a file cannot be read."""
    kept, dropped = (
        read_rows(folder / name, ("id", "decision") if name == TABLES[0] else ("id", "reason")) for name in TABLES
    )
    stats, status = _mapping(folder / "stats.json"), _mapping(folder / "status.json")
    finished = (folder / "manifest.json").is_file() and PARTIAL not in folder.name
    models, samples = _models(stats, folder / JOURNAL)
    reasons = Counter(str(row.get("reason")) for row in dropped)
    return {
        "folder": str(folder),
        "state": _state(finished, status),
        "simulated": (folder / "SIMULATED").exists(),
        "proposals": len(kept) + len(dropped),
        "kept": len(kept),
        "dropped": len(dropped),
        "recorded": len(samples),
        "decisions": dict(Counter(str(row.get("decision")) for row in kept).most_common()),
        "reasons": dict(reasons.most_common()),
        "models": models,
        "line": status.get("line"),
        "files": [name for name in FILES if (folder / name).is_file()],
        "examples": _examples(kept, dropped, samples),
    }


def show_summary(found: dict[str, Any], console: Console | None = None) -> None:
    """Print a summary, by default to standard output."""
    console = console or Console(highlight=False)
    console.rule(_safe(found["folder"]))
    mark = ", simulated" if found["simulated"] else ""
    if found["proposals"]:
        share = f"{found['kept'] / found['proposals']:.1%}"
        console.print(
            f"[bold]{found['kept']:,} kept[/bold] of {found['proposals']:,} samples ({share}); {found['state']}{mark}"
        )
    else:
        console.print(
            f"no samples written; calls recorded for {found['recorded']:,} samples and seeds; {found['state']}{mark}"
        )
    if found["line"]:
        console.print(_safe(str(found["line"])))
    if found["decisions"]:
        console.print(_safe("kept as: " + ", ".join(f"{name} {count:,}" for name, count in found["decisions"].items())))
    if found["reasons"]:
        console.print("dropped:")
        for reason, count in found["reasons"].items():
            console.print(_safe(f"{count:>8,}  {reason}: {meaning(reason)}"))
    if found["models"]:
        table = Table("model", "calls", "unusable", "tokens in", "tokens out", "roles")
        for name, use in found["models"].items():
            numbers = ["-" if use[key] is None else f"{use[key]:,}" for key in ("calls", "unusable", "in", "out")]
            table.add_row(_safe(name), *numbers, _safe(", ".join(use["roles"])))
        console.print(table)
    console.print("files:")
    for name in found["files"]:
        console.print(f"  {_safe(str(Path(found['folder']) / name))}  {FILES[name]}", soft_wrap=True)
    console.print("show a sample:")
    for sample, fate in found["examples"]:
        console.print(_safe(f"  {command(Path(found['folder']), '--sample', sample)}    # {fate}"), soft_wrap=True)
    if found["proposals"] or found["recorded"]:
        console.print(_safe(f"  {command(Path(found['folder']), '--list')}    # all"), soft_wrap=True)


def command(folder: Path, *words: str) -> str:
    """Return the command `gra inspect FOLDER ...`, quoted for a shell."""
    return shlex.join(["gra", "inspect", str(folder), *words])


def meaning(reason: str) -> str:
    """Return in words why a sample was dropped. `reason`: the value of the column `reason`."""
    return text_of(reason)


def read_rows(path: Path, columns: Sequence[str] | None = None, sample: str | None = None) -> list[dict[str, Any]]:
    """Return the rows of a parquet file, or [] if there is no such file. Raises StoreError if the file cannot be read.

    `columns`: the columns to read, or None for all columns. A column that the file lacks is ignored. `sample`: the id
    of the only sample to read, or None for all samples.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        return []
    try:
        known = None if columns is None else [name for name in columns if name in pq.read_schema(path).names]
        found: list[dict[str, Any]] = pq.read_table(
            path, columns=known, filters=None if sample is None else [("id", "==", sample)]
        ).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error
    return found


def _mapping(path: Path) -> dict[str, Any]:
    """A JSON file's mapping; {} if the file is missing or damaged."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _state(finished: bool, status: dict[str, Any]) -> str:
    if finished:
        return "finished"
    updated = status.get("updated_at")
    if not isinstance(updated, int | float):
        return "not finished"
    age = time.time() - updated
    return "running" if age < STALE_S else f"not finished; last update of the run {age:,.0f} s ago"


def _models(stats: dict[str, Any], journal: Path) -> tuple[dict[str, dict[str, Any]], list[tuple[str, int]]]:
    """The calls of each model, from stats.json or else from the journal, and the samples and seeds in the journal."""
    samples = read_samples(journal) if journal.is_file() else []
    tokens = stats.get("tokens") or (calls_recorded(journal) if samples else {})
    replies = stats.get("replies") or {}
    found = {}
    for model, roles in tokens.items():
        steps = replies.get(model)
        unusable = None if steps is None else sum(sum(step["unusable"].values()) for step in steps.values())
        sums = {key: _sum(use.get(key) for use in roles.values()) for key in ("calls", "in", "out")}
        found[model] = {**sums, "unusable": unusable, "roles": sorted({role.partition("-")[0] for role in roles})}
    return found, samples


def _sum(values: Any) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _examples(
    kept: list[dict[str, Any]], dropped: list[dict[str, Any]], samples: list[tuple[str, int]]
) -> list[tuple[str, str]]:
    """Return a kept sample, and one dropped sample for each of the three most frequent reasons. If there are none,
    return the first sample in the journal."""
    found = [(str(row["id"]), "kept") for row in kept[:1]]
    for reason, _ in Counter(row.get("reason") for row in dropped).most_common(3):
        found.append((next(str(row["id"]) for row in dropped if row.get("reason") == reason), f"dropped: {reason}"))
    return found or [(sample, f"{calls} calls") for sample, calls in samples[:1]]


def _safe(text: str) -> str:
    return escape(printable(text))
