"""Reads samples for a blind reading; writes sheet.jsonl and key.json, and reads them back line by line.

An editor may change the sheet: a byte-order mark, other line ends, blank lines and another order are accepted. Changes
that would give wrong counts are errors: a misspelt label, a missing or repeated line, the key of another sheet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gra.compare.blind.rates import LABELS, Sheet, digest
from gra.compare.reading.data import read_table
from gra.errors import StoreError
from gra.fileio import write_json, write_text

SHEET, KEY, RATES = "sheet.jsonl", "key.json", "rates.md"
FIELDS = ("place", "instruction", "response", *LABELS, "note")
MOST = 10  # faults of a sheet that an error lists
# control characters that JSON does not escape, unusual line ends, marks that change the writing direction
_UNSEEN = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def read_samples(words: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """Return a mapping from the name of each arm to its samples {id, instruction, response}.

    `words`: texts NAME=FOLDER. Raises StoreError for any other text, for a repeated name, and for a folder without
        samples.
    """
    found: dict[str, list[dict[str, str]]] = {}
    for word in words:
        name, _, folder = word.partition("=")
        if not name or not folder or name in found:
            why = "this name is given twice" if name in found else "NAME=FOLDER is expected"
            raise StoreError(
                f"`{word}`: {why}\n    -> for example gra=runs/store/DATA_FOLDER, with a different name for each arm"
            )
        found[name] = _samples(Path(folder))
    return found


def _samples(folder: Path) -> list[dict[str, str]]:
    path = next((p for p in (folder / "data" / "train.parquet", folder / "train.parquet") if p.is_file()), None)
    table = read_table(path, ["id", "instruction", "response"])
    remedy = "give the folder of a finished data step (gra plan experiment=NAME lists them)"
    if table is None:
        why = "holds no samples (data/train.parquet)" if folder.is_dir() else "no such folder"
        raise StoreError(f"{folder}: {why}\n    -> {remedy}")
    if missing := {"instruction", "response"} - set(table.column_names):
        raise StoreError(f"{path}: has no column {' and no column '.join(sorted(missing))}\n    -> {remedy}")
    rows = [{"id": str(i), **row} for i, row in enumerate(table.to_pylist())]
    whole = [
        {key: str(value) for key, value in row.items()}
        for row in rows
        if isinstance(row["instruction"], str) and isinstance(row["response"], str)
    ]
    if not whole:
        raise StoreError(f"{path}: holds no samples\n    -> {remedy}")
    return whole


def write_sheet(folder: Path, sheet: Sheet, key: Mapping[str, Any]) -> None:
    """Write sheet.jsonl and key.json to `folder`.

    The sheet lists samples without arm names, for a reader to label. The key says from which arms each sample comes.

    Raises StoreError if the folder cannot be written. If the folder already has a sheet, StoreError is raised, too,
    because the labels in that sheet must not be lost.
    """
    if (folder / SHEET).exists():
        raise StoreError(
            f"{folder / SHEET}: already exists, perhaps with labels\n    -> give another folder, or remove it"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / KEY, key)
        write_text(folder / SHEET, "".join(f"{_line(line)}\n" for line in sheet))
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror}\n    -> give a writable folder: --output DIR") from error


def _line(line: Mapping[str, Any]) -> str:
    """Return a line as JSON. Characters by which a model's text could control a terminal or end the line are escaped;
    parsing gives the same text."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(line, ensure_ascii=False))


def read_sheet(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a sheet, which is a JSON-lines file of samples without arm names that a reader labels.

    Raises StoreError if a line cannot be read, if it is repeated, or if one of its labels is not true, false or null.
    The error lists such lines.
    """
    found: list[dict[str, Any]] = []
    faults: list[str] = []
    places: dict[str, int] = {}
    for number, line in enumerate(
        _text(path, f"make it: gra blind draw NAME=FOLDER ... --output {path.parent}").split("\n"), 1
    ):
        if not line.strip():
            continue
        fault, value = _fault(line)
        if fault is None and value["place"] in places:
            fault = f"place {value['place']} is already in line {places[value['place']]}"
        if fault is not None:
            faults.append(f"line {number}: {fault}")
            continue
        places[value["place"]] = number
        found.append(value)
    if faults:
        more = [f"and {len(faults) - MOST} more"] if len(faults) > MOST else []
        remedy = "-> correct the sheet, one sample per line"
        raise StoreError("\n    ".join([f"{path}, {faults[0]}", *faults[1:MOST], *more, remedy]))
    return found


def _fault(line: str) -> tuple[str | None, dict[str, Any]]:
    """(fault, content) of a line; fault is None where it is correct."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"is not JSON ({str(error)[:100]})", {}
    if not isinstance(value, dict):
        return "is not a JSON object", {}
    if not isinstance(value.get("place"), str):
        return "`place` is missing or changed", {}
    if missing := [label for label in LABELS if label not in value]:
        extra = [repr(str(name)[:40]) for name in value if name not in FIELDS]
        hint = f" (it has {', '.join(extra[:5])}, which is not a label)" if extra else ""
        return f"no label {' and no label '.join(missing)}{hint}: true, false or null is expected", {}
    if wrong := [label for label in LABELS if not (value[label] is None or isinstance(value[label], bool))]:
        listed = ", ".join(f"{label} is {json.dumps(value[label])[:40]}" for label in wrong)
        return f"{listed}: true, false or null is expected", {}
    return None, value


def read_key(path: Path, sheet: Sheet) -> dict[str, list[dict[str, str]]]:
    """Return the key of a sheet.

    A sheet lists samples without arm names, for a reader to label. Its key says from which arms each sample comes.

    Raises StoreError if the key cannot be read or belongs to another sheet. If lines were removed from the sheet,
    StoreError is raised, too, because these samples would not be counted.
    """
    remedy = (
        f"put the {KEY} there that `gra blind draw` wrote with this sheet (same arguments, another --output: same key)"
    )
    text = _text(path, remedy)
    try:
        key = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: is not JSON ({str(error)[:100]})\n    -> {remedy}") from error
    if not isinstance(key, dict) or not all(_owners(found) for found in key.values()):
        raise StoreError(f"{path}: is not the key of a sheet (place -> arms and samples)\n    -> {remedy}")
    if foreign := [line["place"] for line in sheet if line["place"] not in key]:
        raise StoreError(f"{path}: has no place {_some(foreign)} of the sheet\n    -> {remedy}")
    changed = [
        line["place"]
        for line in sheet
        if any(owner.get("text", mark) != mark for owner in key[line["place"]] for mark in [digest(line)])
    ]
    if changed:
        words = f"the texts at {_some(changed)} do not match the key: it belongs to another sheet, or the texts were changed"
        raise StoreError(f"{path}: {words}\n    -> {remedy}, or restore the texts of the sheet")
    if missing := sorted(set(key) - {line["place"] for line in sheet}):
        words = f"the sheet beside it lacks {len(missing)} of {len(key)} places ({_some(missing)})"
        raise StoreError(
            f"{path}: {words}\n    -> restore the removed lines of the sheet; use null for a label that you cannot decide"
        )
    return key


def _owners(found: Any) -> bool:
    if not isinstance(found, list) or not found:
        return False
    return all(isinstance(one, dict) and isinstance(one.get("arm"), str) for one in found)


def _some(places: Sequence[str]) -> str:
    return ", ".join(places[:5]) + (", ..." if len(places) > 5 else "")


def _text(path: Path, remedy: str) -> str:
    """Return a file's text without a byte-order mark. Raises StoreError; `remedy` is its advice if the file does not
    exist."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except NotADirectoryError as error:
        raise StoreError(f"{path.parent}: is a file\n    -> give the folder that holds {SHEET} and {KEY}") from error
    except FileNotFoundError as error:
        where = "no such file" if path.parent.is_dir() else "no such folder"
        raise StoreError(f"{path}: {where}\n    -> {remedy}") from error
    except UnicodeDecodeError as error:
        raise StoreError(f"{path}: is not UTF-8 text (byte {error.start})\n    -> save it as UTF-8") from error
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}\n    -> make it readable (chmod)") from error
