"""Read samples blind to their arm: `gra blind draw` makes a sheet without arms, `gra blind rates` says how many were good.

gra blind draw gra=runs/store/DATA_A single=runs/store/DATA_B --count 50 --output reading   # sheet.jsonl and key.json
gra blind rates reading                                                                     # after the labels are filled in

A reader fills in four labels a line: true, false, or null where it cannot be told.
  task      the instruction asks for one thing that can be answered from what it says
  answered  the response does what was asked, right or not
  right     the response is correct: facts, numbers, code, the form that was asked for
  echo      an echo of a prompt or of its own instruction, a placeholder, or no task at all
A sample is good where task, answered and right are true and echo is false. Rates have Wilson's 95 % intervals; what is null
is counted apart, in no rate.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gra.compare.data import read_table
from gra.compare.edges import wilson
from gra.errors import StoreError
from gra.fileio import read_json, write_json, write_text
from gra.flags import Parser

LABELS = ("task", "answered", "right", "echo")
SHEET, KEY, RATES = "sheet.jsonl", "key.json", "rates.md"
CAP = 8000  # characters of a text that a reader is shown
Z95 = 1.959963984540054


def main(arguments: Sequence[str]) -> int:
    """The command. Raises StoreError for folders without samples, and for a sheet that cannot be read or was changed."""
    parser = Parser("gra blind", __doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    draw = commands.add_parser("draw", description="make the sheet and its key", help="make the sheet and its key")
    draw.add_argument("arms", nargs="+", metavar="NAME=FOLDER", help="an arm's name and its data folder (data/train.parquet)")
    draw.add_argument("--count", type=int, default=50, help="samples of each arm; 50")
    draw.add_argument("--seed", type=int, default=0, help="draws and shuffles them; 0")
    draw.add_argument("--output", type=Path, required=True, metavar="DIR", help="a folder for sheet.jsonl and key.json")
    words = "the rates of a sheet that was filled in"
    rates = commands.add_parser("rates", description=words, help=words)
    rates.add_argument("folder", type=Path, metavar="DIR")
    given = parser.parse_args(arguments)
    if given.command == "draw":
        made = drawn(_arms(given.arms), given.count, given.seed)
        _write_sheet(given.output, *made)
        print(f"{given.output / SHEET}: {len(made[0])} samples of {len(given.arms)} arms in random order; {KEY} tells the arms")
        return 0
    text = rates_text(read_sheet(given.folder / SHEET), read_json(given.folder / KEY))
    write_text(given.folder / RATES, text)
    print(text, end="")
    return 0


def drawn(arms: Mapping[str, Sequence[Mapping[str, str]]], count: int, seed: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The sheet's lines and the key. `arms`: name -> its samples {id, instruction, response}; `count` of each are drawn by `seed`,
    fewer where there are fewer. A text that several arms hold is read once and counts for each of them."""
    texts: dict[tuple[str, str], list[dict[str, str]]] = {}
    for name in sorted(arms):
        rows = list(arms[name])
        for row in random.Random(f"{seed} {name}").sample(rows, min(count, len(rows))):
            texts.setdefault((row["instruction"], row["response"]), []).append({"arm": name, "sample": row["id"]})
    order = sorted(texts)
    random.Random(f"{seed}").shuffle(order)
    sheet, key = [], {}
    for number, text in enumerate(order, 1):
        place = f"{number:04d}"
        sheet.append({"place": place, "instruction": text[0][:CAP], "response": text[1][:CAP], **dict.fromkeys(LABELS), "note": ""})
        key[place] = texts[text]
    return sheet, key


def read_sheet(path: Path) -> list[dict[str, Any]]:
    """Its lines. Raises StoreError, naming the line, where a place is missing or a label is not true, false or null."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        remedy = f"make it: gra blind draw NAME=FOLDER ... --output {path.parent}"
        raise StoreError(f"{path}: {error.strerror}\n    -> {remedy}") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            wrong = [label for label in LABELS if not (value[label] is None or isinstance(value[label], bool))]
            if wrong or not isinstance(value["place"], str):
                raise ValueError(f"{', '.join(wrong) or 'place'}: must be true, false or null")
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path}, line {number}: {error}\n    -> correct the line") from error
        found.append(value)
    return found


def rates(sheet: Sequence[Mapping[str, Any]], key: Mapping[str, Sequence[Mapping[str, str]]]) -> dict[str, dict[str, Any]]:
    """Per arm and label: {yes, no, null, rate, low, high}; `good` is counted where no label that decides it is null.

    Raises StoreError for a line whose place the key does not hold.
    """
    counts: dict[str, dict[str, list[int]]] = {}
    for line in sheet:
        if line["place"] not in key:
            raise StoreError(f"the key has no place {line['place']}\n    -> use the key that was made with this sheet")
        verdicts = {label: line[label] for label in LABELS} | {"good": _good(line)}
        for owner in key[line["place"]]:
            mine = counts.setdefault(owner["arm"], {label: [0, 0, 0] for label in (*LABELS, "good")})
            for label, verdict in verdicts.items():
                mine[label][2 if verdict is None else 0 if verdict else 1] += 1
    return {arm: {label: _rate(*found) for label, found in labels.items()} for arm, labels in sorted(counts.items())}


def rates_text(sheet: Sequence[Mapping[str, Any]], key: Mapping[str, Sequence[Mapping[str, str]]]) -> str:
    """The rates as a Markdown table: percent with 95 % intervals, and how many samples could not be told."""
    names = ("good", *LABELS)
    lines = [f"| arm | read | {' | '.join(names)} |", f"| --- | --- | {' | '.join('---' for _ in names)} |"]
    for arm, labels in rates(sheet, key).items():
        read = sum(labels["task"][part] for part in ("yes", "no", "null"))
        lines.append(f"| {arm} | {read} | {' | '.join(_cell(labels[name]) for name in names)} |")
    return "\n".join([*lines, "", "Percent, with Wilson's 95 % interval; (n?): so many could not be told and are in no rate.", ""])


def _good(line: Mapping[str, Any]) -> bool | None:
    parts = [line["task"], line["answered"], line["right"], None if line["echo"] is None else not line["echo"]]
    return False if False in parts else None if None in parts else True


def _rate(yes: int, no: int, null: int) -> dict[str, Any]:
    told = yes + no
    low, high = wilson(yes / told, told, Z95) if told else (None, None)
    return {"yes": yes, "no": no, "null": null, "rate": yes / told if told else None, "low": low, "high": high}


def _cell(found: Mapping[str, Any]) -> str:
    if found["rate"] is None:
        return f"- ({found['null']}?)"
    text = f"{100 * found['rate']:.0f} [{100 * found['low']:.0f}, {100 * found['high']:.0f}]"
    return text + (f" ({found['null']}?)" if found["null"] else "")


def _arms(words: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """Samples by arm. Raises StoreError for words that are not NAME=FOLDER, names given twice, and folders without samples."""
    found: dict[str, list[dict[str, str]]] = {}
    for word in words:
        name, _, folder = word.partition("=")
        if not name or not folder or name in found:
            raise StoreError(f"`{word}`: NAME=FOLDER is expected, each name once\n    -> for example gra=runs/store/DATA_FOLDER")
        table = read_table(_train(Path(folder)), ["id", "instruction", "response"])
        if table is None or not table.num_rows:
            raise StoreError(f"{folder}: holds no samples (data/train.parquet)\n    -> name the folder of a finished data step")
        rows = table.to_pylist()
        found[name] = [{"id": str(i), **row} for i, row in enumerate(rows)]
    return found


def _train(folder: Path) -> Path | None:
    path = folder / "data" / "train.parquet"
    return path if path.is_file() else None


def _write_sheet(folder: Path, sheet: Sequence[Mapping[str, Any]], key: Mapping[str, Any]) -> None:
    """Raises StoreError where the folder already holds a sheet: labels are work that must not be lost."""
    if (folder / SHEET).exists():
        raise StoreError(f"{folder / SHEET}: is there already, perhaps with labels\n    -> name another folder, or remove it")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / KEY, key)
    write_text(folder / SHEET, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in sheet))
