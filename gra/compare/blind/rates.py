"""PURE: draws samples of several arms into a sheet without arm names, and computes rates per arm from a reader's
labels."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gra.intervals import normal, wilson

LABELS = ("task", "answered", "right", "echo")
CAP = 8000  # limit on characters of each text in the sheet
Sheet = Sequence[Mapping[str, Any]]
Key = Mapping[str, Sequence[Mapping[str, str]]]


def draw_sheet(
    arms: Mapping[str, Sequence[Mapping[str, str]]], count: int, seed: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Draw samples of each arm at random, for a reader who labels them without knowing their arms.

    Return the lines of the sheet, one for each sample, without arm names. Also return the key, which says from which
    arms each line comes.

    `arms`: name -> samples {id, instruction, response}.
    `count`: the number of samples to draw from each arm. If an arm has fewer, all are used.

    If several arms have the same sample, there is only one line, which counts for each of these arms.
    """
    texts: dict[tuple[str, str], list[dict[str, str]]] = {}
    for name in sorted(arms):
        rows = list(arms[name])
        for row in random.Random(f"{seed} {name}").sample(rows, min(count, len(rows))):
            texts.setdefault((row["instruction"], row["response"]), []).append({"arm": name, "sample": row["id"]})
    order = sorted(texts)
    random.Random(f"{seed}").shuffle(order)
    sheet, key = [], {}
    for number, text in enumerate(order, 1):
        line = {"place": f"{number:04d}", "instruction": text[0][:CAP], "response": text[1][:CAP]}
        key[line["place"]] = [owner | {"text": digest(line)} for owner in texts[text]]
        sheet.append({**line, **dict.fromkeys(LABELS), "note": ""})
    return sheet, key


def digest(line: Mapping[str, Any]) -> str:
    """Return a hash of the texts in a line of a sheet. The key records these hashes, so a key of another sheet is
    noticed."""
    return hashlib.blake2b(f"{line.get('instruction')}\0{line.get('response')}".encode(), digest_size=8).hexdigest()


def unlabelled(sheet: Sheet) -> int:
    """Return the number of lines without any label."""
    return sum(all(line[label] is None for label in LABELS) for line in sheet)


def rates(sheet: Sheet, key: Key) -> dict[str, dict[str, Any]]:
    """Return how often each label was given to the samples of each arm.

    The value for an arm and a label is {yes, no, null, rate, low, high}: three counts, and the rate with its interval.

    A further label, `good`, is computed from the reader's labels. If one label already makes the sample bad, `good` is
    false. Otherwise, if a label is null, `good` is null.

    `sheet`: the labelled samples, one per line, without arm names.
    `key`: for each line of the sheet, the arms from which its sample comes. `files.read_key` checks that no line lacks
        an entry.
    """
    counts: dict[str, dict[str, list[int]]] = {}
    for line in sheet:
        verdicts = {label: line[label] for label in LABELS} | {"good": good(line)}
        for owner in key[line["place"]]:
            mine = counts.setdefault(owner["arm"], {label: [0, 0, 0] for label in (*LABELS, "good")})
            for label, verdict in verdicts.items():
                mine[label][2 if verdict is None else 0 if verdict else 1] += 1
    return {arm: {label: _rate(*found) for label, found in labels.items()} for arm, labels in sorted(counts.items())}


def rates_text(sheet: Sheet, key: Key) -> str:
    """Return the rates as a Markdown table, in percent, with 95 % intervals and the numbers of labels that are null."""
    names = ("good", *LABELS)
    lines = [f"| arm | read | {' | '.join(names)} |", f"| --- | --- | {' | '.join('---' for _ in names)} |"]
    for arm, labels in rates(sheet, key).items():
        read = sum(labels["task"][part] for part in ("yes", "no", "null"))
        lines.append(f"| {_name(arm)} | {read} | {' | '.join(_cell(labels[name]) for name in names)} |")
    return "\n".join(
        [*lines, "", "Percent, with Wilson's 95 % interval; (n?): n samples labelled null, which are in no rate.", ""]
    )


def good(line: Mapping[str, Any]) -> bool | None:
    """Return whether a labelled sample is good.

    It is good if its labels `task`, `answered` and `right` are true and `echo` is false. Here, `echo` means that the
    sample repeats a prompt or its own instruction, is a placeholder, or has no task. If a label is None and no other
    label makes the sample bad, return None.
    """
    parts = [line["task"], line["answered"], line["right"], None if line["echo"] is None else not line["echo"]]
    return False if False in parts else None if None in parts else True


def _rate(yes: int, no: int, null: int) -> dict[str, Any]:
    decided = yes + no
    low, high = wilson(yes / decided, decided, normal(0.95)) if decided else (None, None)
    return {"yes": yes, "no": no, "null": null, "rate": yes / decided if decided else None, "low": low, "high": high}


def _cell(found: Mapping[str, Any]) -> str:
    if found["rate"] is None:
        return f"- ({found['null']}?)"
    text = f"{100 * found['rate']:.0f} [{100 * found['low']:.0f}, {100 * found['high']:.0f}]"
    return text + (f" ({found['null']}?)" if found["null"] else "")


def _name(arm: str) -> str:
    """An arm's name, escaped for a cell of a Markdown table."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", arm).replace("\\", "\\\\").replace("|", "\\|")
