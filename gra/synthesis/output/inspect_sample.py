"""Shows one sample: the decision and its reason, then all its prompts and replies, oldest first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from gra.errors import StoreError
from gra.synthesis.engine.journal_read import read_calls
from gra.synthesis.output.inspect_summary import JOURNAL, TABLES, command, meaning, read_rows
from gra.wellformed import printable


def sample_life(folder: Path, sample: str) -> dict[str, Any]:
    """Return all that the folder holds about a sample, as a dict with the keys `record` and `calls`. `record` is the
    sample's row of train.parquet or rejected.parquet, or None if it has no row. `calls` are the model calls that were
    made for the sample, oldest first. They come from the journal, the run's database of model calls.

    Raises StoreError if the folder has neither a row nor a call of this sample. The message names some samples that the
    folder has.
    """
    record = _record(folder, sample)
    journal = folder / JOURNAL
    calls = list(read_calls(journal, sample)) if journal.is_file() else []
    if record is None and not calls:
        known = [row["id"] for name in TABLES for row in read_rows(folder / name, ("id",))]
        hint = f"it has {len(known)}, such as {', '.join(known[:3])}" if known else "it has no samples yet"
        raise StoreError(f"{folder}: no sample {sample!r}; {hint}\n    -> to list them: {command(folder, '--list')}")
    return {"record": record, "calls": calls}


def _record(folder: Path, sample: str) -> dict[str, Any] | None:
    """Return the sample's row with its `file`; None if there is no such row. Only this row is read, because a folder
    may hold a million samples."""
    for name in TABLES:
        for row in read_rows(folder / name, sample=sample):
            return {**row, "file": name}
    return None


def rows(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of all samples of the folder, kept samples first. The value `file` of a row is the name of the
    parquet file that holds it. Raises StoreError if a file cannot be read."""
    return [{**row, "file": name} for name in TABLES for row in read_rows(folder / name)]


def show(life: dict[str, Any], console: Console | None = None) -> None:
    """Print the result of `sample_life`, by default to standard output."""
    console = console or Console(highlight=False)
    _show_verdict(console, life["record"])
    for call in life["calls"]:
        usage = (
            f"{call['tokens_in']} in, {call['tokens_out']} out" if call["tokens_in"] is not None else "tokens unknown"
        )
        console.rule(
            f"{call['step']} / {call['role']} / {safe(call['model'])}, attempt {call['attempt'] + 1} ({usage})"
        )
        for message in call["request"]["messages"]:
            console.print(f"[bold]{message['role']}[/bold]: {safe(message['content'])}")
        if forced := call["request"].get("forced"):
            console.print(f"[bold]text whose likelihood is read[/bold]: {safe(forced)}")
        shown = f"[red]refused: {safe(call['error'])}[/red]" if call["error"] else safe(call["text"])
        console.print(f"[bold green]reply[/bold green] ({safe(call['finish'])}): {shown}")
    if not life["calls"]:
        console.print("no calls are recorded for this sample")


def _show_verdict(console: Console, record: dict[str, Any] | None) -> None:
    """Print the decision with its reason, the checks, the scores and the parents."""
    if record is None:
        console.rule("no decision recorded: the run has not ended, the proposal was not needed, or this is a seed")
        return
    kept = record["file"] == TABLES[0]
    console.rule(f"decision: {'kept' if kept else 'dropped'}")
    fate = f"kept: {record.get('decision')}" if kept else f"dropped: {record['reason']} ({meaning(record['reason'])})"
    console.print(
        f"[bold]{safe(record['id'])}[/bold] [bold]{safe(fate)}[/bold] {safe(record.get('detail') or '')}".rstrip()
    )
    for check in _judgements(record, "checks_json"):
        verdicts = check.get("verdicts")
        words = (
            None
            if verdicts is None
            else ", ".join(f"{key} {'yes' if value else 'NO'}" for key, value in verdicts.items())
        )
        console.print(safe(f"instruction, {check['model']}: {words or 'missing: ' + str(check['missing'])}"))
    for review in _judgements(record, "reviews_json"):
        scores = review["scores"]
        text = "missing: " + str(review["missing"]) if scores is None else _points(scores)
        raw = f" (as given: {_points(review['raw'])})" if review.get("raw") else ""  # a calibrated review
        console.print(f"{safe(review['model'])}: {safe(text + raw)}")
    mean, std = record.get("mean"), record.get("std")
    if mean is not None:
        console.print(f"mean {mean:.2f}" + (f", std {std:.2f}" if std is not None else ""))
    adjudication = record.get("adjudication")
    if adjudication is not None:
        score = adjudication["score"]
        console.print(f"adjudicator {safe(adjudication['model'])}: {'missing' if score is None else f'{score:.2f}'}")
    console.print(safe(f"parents: {', '.join(record.get('parents') or []) or 'none'}"))


def _points(scores: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in scores.items())


def _judgements(record: dict[str, Any], column: str) -> list[dict[str, Any]]:
    found = json.loads(record.get(column) or "[]")
    return found if isinstance(found, list) else []


def safe(text: str) -> str:
    """Return `text` in a form that can be shown in a terminal, whoever wrote it: a model, a server or the author of a
    seed. Rich markup is escaped, and control characters are replaced."""
    return escape(printable(text))
