"""Inspects data folders: a summary of the proposals, a list of the samples, or one sample with all its calls.

    gra inspect DIR                             in a terminal: browse its samples; else a summary
    gra inspect DIR [DIR ...] --text            a summary of each folder
    gra inspect DIR --list                      its samples and their decisions
    gra inspect DIR --sample r1-000012          one sample: decision, scores and gate, then its prompts and replies

DIR is the output of a synthesis or of a `data` step, or its working folder (.partial). With several paths, as from a
pattern such as runs/store/data-*, folders and files without data are skipped.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from gra.errors import StoreError
from gra.flags import Parser
from gra.pipes import json_text
from gra.synthesis.engine.journal_read import read_samples
from gra.synthesis.output.inspect_sample import rows, safe, sample_life, show
from gra.synthesis.output.inspect_summary import JOURNAL, TABLES, command, show_summary, summary
from gra.wellformed import printable


def main(argv: list[str]) -> int:
    """Run `gra inspect` with the arguments `argv` and return the exit code. Raises StoreError if a folder cannot be
    read."""
    parser = Parser("gra inspect", __doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", type=Path, metavar="DIR", nargs="+", help="a synthesis folder (or its .partial)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--sample", metavar="ID", help="show one sample: decision, scores, prompts and replies")
    what.add_argument("--list", action="store_true", help="list the samples and their decisions")
    what.add_argument("--text", action="store_true", help="print the summary, even in a terminal")
    parser.add_argument("--json", action="store_true", help="print the summary or the sample as JSON")
    options = parser.parse_intermixed_args(argv)
    if options.list and options.json:
        parser.error("--list cannot be combined with --json: the rows are in data/train.parquet and rejected.parquet")
    folders, faults = chosen(options.folders)
    if len(folders) == 1 and not faults and _to_browse(folders[0], options):
        from gra.synthesis.output.inspect_browser import browse

        browse(folders[0])
        return 0
    if options.sample is not None and folders:
        folders = _with_sample(folders, options.sample)
    shown: list[Any] = []
    for folder in folders:
        try:
            shown.append(_inspected(folder, options, title=len(folders) > 1))
        except StoreError as error:
            faults.append(str(error))
    if options.json and shown:
        print(json_text(shown[0] if len(options.folders) == 1 else shown))
    if faults:
        raise StoreError("\n".join(faults))
    return 0


def _to_browse(folder: Path, options: argparse.Namespace) -> bool:
    """Return whether to open the browser: the command runs in a terminal, without options, for a folder that has
    samples."""
    asked = options.sample is not None or options.list or options.text or options.json
    if asked or not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") in (None, "", "dumb"):
        return False
    return any((folder / name).is_file() for name in TABLES)


def chosen(paths: list[Path]) -> tuple[list[Path], list[str]]:
    """Return the data folders among `paths` without repetitions, and an error message for each path that cannot be
    used.

    If a path does not exist, its working folder (with the suffix .partial) is used. If the working folder does not
    exist either, the path is an error. If `paths` has a single path, and it leads to a file or to a folder without
    data, it is also an error. If there are several paths, they probably come from a shell pattern, so paths to files
    and to folders without data are skipped, with a note on standard error. If all of several paths were skipped, the
    function returns one error message for them together.
    """
    folders: list[Path] = []
    faults: list[str] = []
    several = len(paths) > 1
    for path in paths:
        folder = path
        if not path.exists() and path.with_name(path.name + ".partial").is_dir():
            folder = path.with_name(path.name + ".partial")
        if folder.is_dir() and _is_data(folder):
            folders += [] if folder in folders else [folder]
        elif not folder.exists():
            faults.append(f"{path}: no such folder\n    -> give the output of a synthesis or of a `data` step")
        else:
            why = "no synthesis data in this folder" if folder.is_dir() else "a file, not a data folder"
            if several:
                print(f"{printable(str(path))}: {why}; left out", file=sys.stderr)
            else:
                faults.append(f"{path}: {why}{_instead(folder)}")
    if several and not folders and not faults:
        faults.append("none of these is a data folder: give the output of a synthesis or of a `data` step")
    return folders, faults


def _is_data(folder: Path) -> bool:
    return any((folder / name).exists() for name in (*TABLES, JOURNAL, "status.json", "stats.json"))


def _instead(path: Path) -> str:
    """Return, as text, commands that inspect the data folders next to a file, or in a folder such as the run store."""
    around = path if path.is_dir() else path.parent
    try:
        found = sorted(entry for entry in around.iterdir() if entry.is_dir() and _is_data(entry))
    except OSError:
        return ""
    first = "".join(f"\n    -> {command(entry)}" for entry in found[:5])
    return first + (f"\n    ({len(found) - 5} more)" if len(found) > 5 else "")


def _with_sample(folders: list[Path], sample: str) -> list[Path]:
    """Return the folders that have the sample. If none has it, return all of them, so that the error of each folder is
    shown."""
    if len(folders) == 1:
        return folders
    found = []
    for folder in folders:
        try:
            sample_life(folder, sample)
        except StoreError:
            continue
        found.append(folder)
    return found or folders


def _inspected(folder: Path, options: argparse.Namespace, title: bool) -> Any:
    """Show the folder, or return the value to print as JSON."""
    if title and not options.json and (options.list or options.sample is not None):
        Console(highlight=False).rule(safe(str(folder)))
    if options.list:
        return _list(folder)
    if options.sample is not None:
        life = sample_life(folder, options.sample)
        return life if options.json else show(life)
    found = summary(folder)
    return found if options.json else show_summary(found)


def _list(folder: Path) -> None:
    table = Table("sample", "decision", "mean", "std", "instruction")
    for row in rows(folder):
        numbers = [f"{row[key]:.2f}" if row.get(key) is not None else "-" for key in ("mean", "std")]
        texts = [
            safe(text or "") for text in (row["id"], row.get("reason") or row["decision"], row["instruction"][:70])
        ]
        table.add_row(*texts[:2], *numbers, texts[2])
    journal = folder / JOURNAL
    if not table.row_count and journal.is_file():  # no seed could be annotated, or the run has not ended
        table = Table("sample or seed", "calls recorded")
        for sample, calls in read_samples(journal):
            table.add_row(safe(sample), str(calls))
    if not table.row_count:
        raise StoreError(f"{folder}: no samples (no parquet files and no journal.sqlite, or they are empty)")
    Console().print(table)
