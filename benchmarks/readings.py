"""The labels of readings: what people or large models said of samples, where all readers of all folders agree.

A reading is a sheet (reading_*_sheet.jsonl) with its key, as `gra blind` draws and labels it. Seeds among the samples are left
out, since no model wrote them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from gra.compare.blind.files import read_key, read_sheet

SEEDS = ("seeds", "seed_only")  # arms whose texts no model wrote
T = TypeVar("T", bound=Hashable)


def agreed(
    folders: Sequence[Path], of: Callable[[Mapping[str, Any]], T], label: Callable[[Mapping[str, Any]], bool | None]
) -> dict[T, bool]:
    """Return the label of each text that `of` takes from a line of a sheet, where all lines with this text have one and
    the same. `label`: the label of a line; None if the reader gave none."""
    found: dict[T, list[bool | None]] = {}
    for path in chain.from_iterable(sorted(folder.glob("reading_*_sheet.jsonl")) for folder in folders):
        sheet = read_sheet(path)
        key = read_key(path.with_name(path.name.replace("_sheet.jsonl", "_key.json")), sheet)
        for row in sheet:
            if not any(owner["arm"] in SEEDS for owner in key[row["place"]]):
                found.setdefault(of(row), []).append(label(row))
    return {text: bool(labels[0]) for text, labels in found.items() if len(set(labels)) == 1 and labels[0] is not None}
