"""`gra export DIR --to FORMAT --output OUT`: writes a data folder in the format of a trainer.

gra export data/mine --to llamafactory --output exports/mine
gra export data/mine --to chatml --preferences --output exports/pairs    # preference pairs
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gra import labels, unfinished
from gra.errors import StoreError
from gra.export.formats import FORMATS
from gra.export.pairs import pairs
from gra.fileio import write_text
from gra.flags import Parser

KEPT, DROPPED = "data/train.parquet", "rejected.parquet"
COLUMNS = ["instruction", "response", "messages", "mean"]
ALIASES = {"trl": "chatml"}  # a trainer's name -> the format that it reads
CHOICES = (*FORMATS, *ALIASES)


def main(arguments: Sequence[str]) -> int:
    """Run `gra export` with the command-line `arguments` and return the exit code. Raises StoreError like `export`."""
    parser = Parser("gra export", __doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a finished data folder")
    forms = [*(f"{name}: {one.told}" for name, one in FORMATS.items()), *(f"{a}: as {b}" for a, b in ALIASES.items())]
    told = "\n".join(forms)
    parser.add_argument(
        "--to",
        required=True,
        choices=CHOICES,
        metavar="FORMAT",
        help=f"one of\n{told}",
    )
    parser.add_argument(
        "--output",
        required=True,
        type=Path,
        metavar="OUT",
        help="folder to write to; files of the same names are replaced",
    )
    parser.add_argument("--name", help="name of the data set and of its files; default: the last part of DIR")
    parser.add_argument(
        "--preferences",
        action="store_true",
        help="write preference pairs: a kept and a dropped response to the same instruction",
    )
    parser.add_argument(
        "--margin",
        type=float,
        default=1.0,
        help="minimum difference between the two scores of a pair, in points; default: 1",
    )
    given = parser.parse_args(arguments)
    form = ALIASES.get(given.to, given.to)
    name = given.name or given.folder.resolve().name
    if wrong := fault(form, name, preferences=given.preferences):
        parser.error("--{}: {}\n    -> {}".format(*wrong))
    count, files = export(given.folder, form, given.output, name, given.margin if given.preferences else None)
    what = "pairs" if given.preferences else "samples"
    print(f"{given.output}: {count:,} {what} in {', '.join(files)}")
    return 0


def fault(form: str, name: str, *, preferences: bool) -> tuple[str, str, str] | None:
    """Check the command's arguments, without I/O. Return None if they are valid, and otherwise three texts: the option
    at fault, what is wrong, and what to do.

    `name` must be a valid file name. If `preferences` is true, the format `form` must support preference pairs.
    """
    if not re.fullmatch(r"[\w.-]+", name):
        return "name", f"{name!r} is not a file name", "use letters, digits, `.`, `-` and `_`"
    if preferences and FORMATS[form].pairs is None:
        able = ", ".join(key for key, one in FORMATS.items() if one.pairs is not None)
        return "preferences", f"the format {form} has no preference pairs", f"use one of: {able}"
    return None


def export(folder: Path, form: str, output: Path, name: str, margin: float | None = None) -> tuple[int, list[str]]:
    """Write the samples in the data folder `folder` to files in `output`, in the format `form`. If `margin` is given,
    write preference pairs instead of samples. Return the number of samples or pairs, and the names of the files.

    `name`: the name of the data set, after which its file is named. `margin`: the minimum difference between the scores
    of the two responses of a pair, in points.

    The label files SIMULATED and QUANTIZED of `folder` are copied if they exist. They say that the samples were made
    from simulated models or texts, or with quantized models. Raises StoreError if `folder` is not a finished data
    folder, if `margin` is given but there are no pairs, or if `output` cannot be written.
    """
    if not (folder / labels.MANIFEST).is_file():
        raise StoreError(unfinished.told(folder, "give the output folder of gra synthesize or gra refine"))
    kept = _rows(folder / KEPT)
    if margin is None:
        count, files = len(kept), FORMATS[form].files(name, kept)
    else:
        found, make = pairs(kept, _rows(folder / DROPPED), margin), FORMATS[form].pairs
        if not found:
            raise StoreError(
                f"{folder}: no instruction has a kept and a dropped response whose scores differ by {margin:g} points or more\n"
                "    -> lower the margin, or let several answers to an instruction be reviewed: gra refine --help"
            )
        assert make is not None  # `fault` says so before
        count, files = len(found), make(name, found)
    try:
        output.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            write_text(output / file, text)
        for label in (labels.MARK, labels.QUANTIZED):
            if (folder / label).is_file():
                write_text(output / label, (folder / label).read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise StoreError(f"{error.filename or output}: {error.strerror}\n    -> give a writable folder") from error
    return count, list(files)


def _rows(path: Path) -> list[dict[str, Any]]:
    from pyarrow import ArrowException, parquet

    try:
        rows: list[dict[str, Any]] = parquet.read_table(path, columns=COLUMNS).to_pylist()
    except (OSError, ArrowException) as error:
        raise StoreError(f"{path}: cannot be read: {error}\n    -> make the folder again") from error
    return rows
