"""One sample's whole life, read from a data folder: prompts, replies, scores, gate.

Command: gra inspect DIR --sample r1-000012      (gra inspect DIR --list shows what there is)
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gra.errors import StoreError
from gra.pipes import json_text
from gra.synthesis.journal_read import read_calls, read_samples
from gra.wellformed import printable


def main(argv: list[str]) -> int:
    """Run `gra inspect` with its arguments; returns the exit code. Raises StoreError for a folder that cannot be read."""
    parser = argparse.ArgumentParser(prog="gra inspect", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a synthesis folder (or its .partial)")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--sample", metavar="ID", help="show this sample's whole life")
    what.add_argument("--list", action="store_true", help="list the samples with their fate")
    parser.add_argument("--json", action="store_true", help="the sample as JSON instead of text")
    options = parser.parse_args(argv)
    folder = options.folder
    if not folder.is_dir() and folder.with_name(folder.name + ".partial").is_dir():
        folder = folder.with_name(folder.name + ".partial")
    if options.list:
        return _list(folder)
    life = sample_life(folder, options.sample)
    if options.json:
        print(json_text(life))
    else:
        _show(life)
    return 0


def sample_life(folder: Path, sample: str) -> dict[str, Any]:
    """{"record": the row of train or rejected parquet or None, "calls": its journal rows, oldest first}.

    Raises StoreError where the folder has neither, naming samples close by.
    """
    record = next((row for row in _rows(folder) if row["id"] == sample), None)
    journal = folder / "journal.sqlite"
    calls = list(read_calls(journal, sample)) if journal.is_file() else []
    if record is None and not calls:
        known = [row["id"] for row in _rows(folder)]
        hint = f"it has {len(known)}, such as {', '.join(known[:3])}" if known else "it holds no samples yet"
        raise StoreError(f"{folder}: no sample {sample!r}; {hint}. List them: gra inspect {folder} --list")
    return {"record": record, "calls": calls}


def _rows(folder: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = []
    for name in ("data/train.parquet", "rejected.parquet"):
        if (folder / name).is_file():
            rows += [{**row, "file": name} for row in pq.read_table(folder / name).to_pylist()]
    return rows


def _list(folder: Path) -> int:
    table = Table("sample", "fate", "mean", "std", "instruction")
    for row in _rows(folder):
        numbers = [f"{row[key]:.2f}" if row.get(key) is not None else "-" for key in ("mean", "std")]
        texts = [_safe(text or "") for text in (row["id"], row.get("reason") or row["decision"], row["instruction"][:70])]
        table.add_row(*texts[:2], *numbers, texts[2])
    journal = folder / "journal.sqlite"
    if not table.row_count and journal.is_file():  # seeds that could not be annotated, or a run that has not ended
        table = Table("sample or seed", "calls recorded")
        for sample, calls in read_samples(journal):
            table.add_row(_safe(sample), str(calls))
    if not table.row_count:
        raise StoreError(f"{folder}: no samples here (no parquet files and no journal.sqlite, or they are empty)")
    Console().print(table)
    return 0


def _show(life: dict[str, Any]) -> None:
    console = Console(highlight=False)
    for call in life["calls"]:
        usage = f"{call['tokens_in']} in, {call['tokens_out']} out" if call["tokens_in"] is not None else "tokens unknown"
        console.rule(f"{call['step']} / {call['role']} / {_safe(call['model'])}, attempt {call['attempt'] + 1} ({usage})")
        for message in call["request"]["messages"]:
            console.print(f"[bold]{message['role']}[/bold]: {_safe(message['content'])}")
        shown = f"[red]refused: {_safe(call['error'])}[/red]" if call["error"] else _safe(call["text"])
        console.print(f"[bold green]reply[/bold green] ({_safe(call['finish'])}): {shown}")
    record = life["record"]
    if record is None:
        console.rule("no decision yet: the run has not ended")
        return
    console.rule("decision")
    for review in json.loads(record.get("reviews_json") or "[]"):
        scores = review["scores"]
        text = "missing: " + str(review["missing"]) if scores is None else ", ".join(f"{k} {v}" for k, v in scores.items())
        console.print(f"{_safe(review['model'])}: {_safe(text)}")
    mean, std = record.get("mean"), record.get("std")
    if mean is not None:
        console.print(f"mean {mean:.2f}" + (f", std {std:.2f}" if std is not None else ""))
    adjudication = record.get("adjudication")
    if adjudication is not None:
        score = adjudication["score"]
        console.print(f"adjudicator {_safe(adjudication['model'])}: {'missing' if score is None else f'{score:.2f}'}")
    fate = "kept" if record["file"] == "data/train.parquet" else _safe(f"dropped: {record['reason']}")
    console.print(f"[bold]{fate}[/bold] {_safe(record.get('detail') or '')}")
    console.print(_safe(f"parents: {', '.join(record['parents'] or [])}"))


def _safe(text: str) -> str:
    """What models, servers and seeds wrote, as text: no markup of rich's, no control characters."""
    return escape(printable(text))
