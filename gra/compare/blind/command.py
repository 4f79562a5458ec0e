"""Blind reading: `gra blind draw` makes a sheet of samples without arm names; `gra blind rates` counts each arm's good
samples.

gra blind draw gra=runs/store/DATA_A single=runs/store/DATA_B --count 50 --output reading   # sheet.jsonl and key.json
gra blind rates reading                                                                     # once the labels are filled in

sheet.jsonl holds one sample per line; key.json holds the arm of each. Fill in the sheet without opening the key.
Each line has four labels (task, answered, right, echo). Set each one to true, false, or null if you cannot decide.
  task      the instruction asks for something and is complete: no text or table that it needs is missing
  answered  the response does what was asked, right or wrong
  right     the response is correct: facts, numbers, code, requested form
  echo      the sample repeats a prompt or its own instruction, is a placeholder, or has no task
A sample is good if task, answered and right are true and echo is false. Rates have Wilson's 95 % intervals; null labels are
counted separately and are in no rate. `note` is free for your remarks.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gra.compare.blind.files import KEY, RATES, SHEET, read_key, read_samples, read_sheet, write_sheet
from gra.compare.blind.rates import LABELS, draw_sheet, rates, rates_text, unlabelled
from gra.errors import StoreError
from gra.fileio import write_text
from gra.flags import Parser

__all__ = ["LABELS", "draw_sheet", "main", "rates", "read_sheet"]


def main(arguments: Sequence[str]) -> int:
    """Run `gra blind draw` or `gra blind rates`, and return the exit code.

    `draw` writes two files: the sheet, which lists samples without arm names for a reader to label, and the key, which
    says from which arms each sample comes. `rates` counts the labels of each arm.

    Raises StoreError if a folder has no samples, if a sheet or key cannot be read, or if a sheet and its key do not
    match.
    """
    parser = Parser("gra blind", __doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    draw = commands.add_parser("draw", description="make the sheet and its key", help="make the sheet and its key")
    draw.add_argument(
        "arms", nargs="+", metavar="NAME=FOLDER", help="an arm's name and its data folder (data/train.parquet)"
    )
    draw.add_argument("--count", type=_count, default=50, help="samples per arm, at least 1; default: 50")
    draw.add_argument("--seed", type=int, default=0, help="seed of drawing and shuffling; default: 0")
    draw.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="a new folder for sheet.jsonl and key.json"
    )
    words = "print the rates of a filled-in sheet and write them to rates.md beside it"
    found = commands.add_parser("rates", description=words, help=words)
    found.add_argument(
        "folder", type=Path, metavar="DIR", help="folder of `gra blind draw`, with sheet.jsonl and key.json"
    )
    given = parser.parse_args(arguments)
    return _draw(given.arms, given.count, given.seed, given.output) if given.command == "draw" else _rates(given.folder)


def _draw(words: Sequence[str], count: int, seed: int, output: Path) -> int:
    arms = read_samples(words)
    sheet, key = draw_sheet(arms, count, seed)
    write_sheet(output, sheet, key)
    for name, rows in arms.items():
        if len(rows) < count:
            print(f"{name}: has {len(rows)} samples, fewer than --count {count}; all of them are used", file=sys.stderr)
    drawn = f"{len(sheet)} samples of {len(arms)} {'arm' if len(arms) == 1 else 'arms'}"
    print(f"{output / SHEET}: {drawn} in random order; {KEY} holds the arms")
    if shared := sum(map(len, key.values())) - len(sheet):
        print(
            f"    {len(sheet) + shared} were drawn; samples with equal texts share one line, which counts for each of them"
        )
    print(f"    -> fill in {', '.join(LABELS)} in each line (true, false or null), then: gra blind rates {output}")
    return 0


def _rates(folder: Path) -> int:
    sheet = read_sheet(folder / SHEET)
    key = read_key(folder / KEY, sheet)
    left = unlabelled(sheet)
    if left == len(sheet):
        what = "no line has a label yet" if sheet else "is empty"
        remedy = f"fill in {', '.join(LABELS)} in each line: true, false, or null where you cannot decide"
        raise StoreError(f"{folder / SHEET}: {what}\n    -> {remedy}")
    if left:
        print(f"{left} of {len(sheet)} lines have no label; they are counted as null", file=sys.stderr)
    text = rates_text(sheet, key)
    print(text, end="")
    try:
        write_text(folder / RATES, text)
    except OSError as error:
        remedy = "the rates are printed above; make the folder writable to store them there"
        raise StoreError(f"{folder / RATES}: {error.strerror}\n    -> {remedy}") from error
    return 0


def _count(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got `{word}`")
    return int(word)
