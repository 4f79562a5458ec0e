"""Read samples blind to their arm: `gra blind draw` makes a sheet without arms, `gra blind rates` says how many were good.

gra blind draw gra=runs/store/DATA_A single=runs/store/DATA_B --count 50 --output reading   # sheet.jsonl and key.json
gra blind rates reading                                                                     # after the labels are filled in

sheet.jsonl holds one sample a line, key.json which arm it came from: fill in the sheet without opening the key.
A reader fills in four labels a line: true, false, or null where it cannot be told.
  task      the instruction asks for one thing that can be answered from what it says
  answered  the response does what was asked, right or not
  right     the response is correct: facts, numbers, code, the form that was asked for
  echo      an echo of a prompt or of its own instruction, a placeholder, or no task at all
A sample is good where task, answered and right are true and echo is false. Rates have Wilson's 95 % intervals; what is null
is counted apart, in no rate. `note` is yours.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gra.compare.blind_files import KEY, RATES, SHEET, read_key, read_samples, read_sheet, write_sheet
from gra.compare.blind_rates import LABELS, drawn, rates, rates_text, unread
from gra.errors import StoreError
from gra.fileio import write_text
from gra.flags import Parser

__all__ = ["LABELS", "drawn", "main", "rates", "read_sheet"]


def main(arguments: Sequence[str]) -> int:
    """The command. Raises StoreError for folders without samples, and for a sheet or key that cannot be read or does not fit."""
    parser = Parser("gra blind", __doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    draw = commands.add_parser("draw", description="make the sheet and its key", help="make the sheet and its key")
    draw.add_argument("arms", nargs="+", metavar="NAME=FOLDER", help="an arm's name and its data folder (data/train.parquet)")
    draw.add_argument("--count", type=_count, default=50, help="samples of each arm, 1 or more; 50")
    draw.add_argument("--seed", type=int, default=0, help="draws and shuffles them; 0")
    draw.add_argument("--output", type=Path, required=True, metavar="DIR", help="a new folder for sheet.jsonl and key.json")
    words = "the rates of a sheet that was filled in: printed, and kept as rates.md beside it"
    found = commands.add_parser("rates", description=words, help=words)
    found.add_argument("folder", type=Path, metavar="DIR", help="the folder of `gra blind draw`, with sheet.jsonl and key.json")
    given = parser.parse_args(arguments)
    return _draw(given.arms, given.count, given.seed, given.output) if given.command == "draw" else _rates(given.folder)


def _draw(words: Sequence[str], count: int, seed: int, output: Path) -> int:
    arms = read_samples(words)
    sheet, key = drawn(arms, count, seed)
    write_sheet(output, sheet, key)
    for name, rows in arms.items():
        if len(rows) < count:
            print(f"{name}: has {len(rows)} samples, fewer than --count {count}; all of them are read", file=sys.stderr)
    print(f"{output / SHEET}: {len(sheet)} samples of {len(arms)} arms in random order; {KEY} tells the arms")
    print(f"    -> fill in {', '.join(LABELS)} in each line (true, false or null), then: gra blind rates {output}")
    return 0


def _rates(folder: Path) -> int:
    sheet = read_sheet(folder / SHEET)
    key = read_key(folder / KEY, sheet)
    left = unread(sheet)
    if left == len(sheet):
        what = "no line has a label yet" if sheet else "holds no line"
        remedy = f"fill in {', '.join(LABELS)} in each line: true, false, or null where it cannot be told"
        raise StoreError(f"{folder / SHEET}: {what}\n    -> {remedy}")
    if left:
        print(f"{left} of {len(sheet)} lines have no label at all: they are counted as not told", file=sys.stderr)
    text = rates_text(sheet, key)
    print(text, end="")
    try:
        write_text(folder / RATES, text)
    except OSError as error:
        remedy = "the rates stand above; let the folder be written to keep them there"
        raise StoreError(f"{folder / RATES}: {error.strerror}\n    -> {remedy}") from error
    return 0


def _count(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"a whole number, 1 or more, is expected, not `{word}`")
    return int(word)
