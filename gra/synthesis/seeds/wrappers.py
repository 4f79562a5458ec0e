"""PURE: finds records inside larger JSON values: arrays, {"data": [...]}, {"train": [...]}, {"rows": [{"row": ...}]},
mappings of column names to lists, and the layouts that pandas writes. A value is not searched if the function
`is_record` says that it is a record itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gra.synthesis.seeds.containers import Raw
from gra.synthesis.seeds.splits import choose_split, is_split
from gra.synthesis.seeds.text import BadRecord
from gra.synthesis.seeds.turns import is_chat, is_role_pairs, is_turn
from gra.wellformed import printable

_BOXES = (
    "data",
    "rows",
    "records",
    "items",
    "examples",
    "samples",
    "entries",
    "instances",
    "dataset",
    "results",
    "seeds",
)
_QUESTIONS = {
    "question",
    "query",
    "instruction",
    "prompt",
    "input",
}  # column names that mark a mapping as a record: turns of a chat have speakers' names instead
_DEPTH = 4


@dataclass(frozen=True)
class Unwrapper:
    """Finds the records in raw JSON values.

    `is_record`: a function that returns whether a mapping is one seed record. `split`: the split to read if there are
    several. `add_note`: a function that receives messages for the user.
    """

    is_record: Callable[[Any], bool]
    split: str
    add_note: Callable[[str], None]
    # columns of values known to be records, so that later ones are not inspected again
    _plain: set[tuple[str, ...]] = field(default_factory=set)

    def records(self, raw: Raw) -> Iterator[Raw]:
        """Yield the records in a raw value. Usually the value itself is the only record."""
        if raw.fault is not None or not isinstance(raw.value, dict | list):
            yield raw
            return
        columns = tuple(raw.value) if isinstance(raw.value, dict) else None
        if columns in self._plain:
            yield raw
            return
        if _is_row(raw.value):
            yield _row(raw.place, raw.value)
            return
        try:
            found = self._open(raw.value, _DEPTH)
        except BadRecord as error:
            yield Raw(raw.place, fault=str(error))
            return
        if found is None:
            if columns is not None and len(self._plain) < 1000 and self.is_record(raw.value):
                self._plain.add(columns)
            yield raw
            return
        whole = raw.place == "record 1"  # the whole document: its records count from 1
        for number, value in enumerate(found, 1):
            yield _row(f"record {number}" if whole else f"{raw.place}, record {number}", value)

    def _open(self, value: Any, depth: int) -> list[Any] | None:
        """Return the records in `value`; None if `value` is a record itself or has no known layout."""
        if isinstance(value, list):
            return value if _is_batch(value) else None
        if not depth or not isinstance(value, dict):
            return None
        if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):  # pandas: orient="split"
            names, rows = value["columns"], value["data"]
            if rows and all(isinstance(row, list) and len(row) == len(names) for row in rows):
                return [dict(zip(map(str, names), row, strict=True)) for row in rows]
        if (columns := self._columns(value)) is not None:
            return columns
        if self._is_batch_of_pairs(value.get("data")):
            return list(value["data"])
        if (tasks := _natural_instructions(value)) is not None:
            return tasks
        if self.is_record(value) and not self._holds_columns(value):
            return None
        if isinstance(total := value.get("num_rows_total"), int) and total > len(value.get("rows") or ()):
            self.add_note(f"the file holds {len(value.get('rows') or ()):,} of the {total:,} rows of the data set")
        boxes = {str(key): entry for key, entry in value.items() if _is_box(str(key), self.split)}
        opened = {key: found for key, entry in boxes.items() if (found := self._open(entry, depth - 1)) is not None}
        if opened:
            name = choose_split(list(opened), self.split, self.add_note) if len(opened) > 1 else next(iter(opened))
            return opened[name]
        entries = list(value.values())
        if all(isinstance(entry, dict) for entry in entries) and all(map(self.is_record, entries[:3])):
            return entries  # pandas: orient="index"; a mapping of ids to records
        return None

    def _is_batch_of_pairs(self, value: Any) -> bool:
        """Return whether this is [{"question": ..., "answer": ...}, ...], a list of records, and not the turn pairs of one chat."""
        if not isinstance(value, list) or not value or not all(isinstance(entry, dict) for entry in value):
            return False
        return bool(_QUESTIONS & value[0].keys()) and not is_turn(value[0]) and self.is_record(value[0])

    def _holds_columns(self, value: dict[str, Any]) -> bool:
        """Return whether this is {"train": {"instruction": [...], "output": [...]}}, which also has the form of a tag tree."""
        if not all(isinstance(entry, dict) for entry in value.values()):
            return False
        boxes = [entry for key, entry in value.items() if _is_box(str(key), self.split)]
        return bool(boxes) and all(self._columns(entry) is not None for entry in boxes)

    def _columns(self, value: dict[str, Any]) -> list[Any] | None:
        """Return the rows of a table that is stored by columns, {"instruction": [...], "output": [...]}; None if
        `value` is not of this form. As pandas writes it, a column may also be a mapping of row names to values."""
        columns = list(value.values())
        if any(isinstance(column, dict) and is_chat(column) for column in columns):  # turns as columns, not records
            return None
        if (
            columns
            and all(isinstance(c, dict) and c for c in columns)
            and all(c.keys() == columns[0].keys() for c in columns)
        ):
            value = {name: list(column.values()) for name, column in value.items()}
        if not columns or not all(isinstance(column, list) and column for column in value.values()):
            return None
        first = {name: column[0] for name, column in value.items()}
        if any(map(is_role_pairs, value.values())):
            return None
        if any(is_turn(entry) for entry in first.values()) or not self.is_record(first):
            return None
        lengths = {name: len(column) for name, column in value.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"`{name[:40]}` {n:,}" for name, n in list(lengths.items())[:10])
            raise BadRecord(printable(f"columns of different lengths: {listed}"))
        return [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]


def _natural_instructions(value: dict[str, Any]) -> list[Any] | None:
    """Return the records in a task file of Natural Instructions: {Definition: [text], Instances: [{input, output:
    [text]}]}. Each instance gives one record, whose instruction is the definition. Return None if `value` has another
    form."""
    given, instances = value.get("Definition"), value.get("Instances")
    given = given[0] if isinstance(given, list) and given else given
    if not isinstance(given, str) or not isinstance(instances, list):
        return None
    found = [{"instruction": given, **entry} if isinstance(entry, dict) else entry for entry in instances]
    for entry in found:
        if isinstance(entry, dict) and isinstance(entry.get("output"), list) and entry["output"]:
            entry["output"] = entry["output"][0]  # one of several right answers
    return found


def _is_batch(values: list[Any]) -> bool:
    """Return whether these are records, not the turns of one chat."""
    if values and all(isinstance(value, dict) for value in values):
        return not is_turn(values[0])
    return bool(values) and all(isinstance(value, list) and value and is_chat(value) for value in values)


def _is_box(name: str, split: str) -> bool:
    return name.lower() in _BOXES or name == split or is_split(name)


def _is_row(value: Any) -> bool:
    """Return whether this is a row as the hub's datasets server writes it."""
    return isinstance(value, dict) and isinstance(value.get("row"), dict) and len(value) <= 3


def _row(place: str, value: Any) -> Raw:
    if not _is_row(value):
        return Raw(place, value)
    cut = (
        "its cells are truncated by the server (truncated_cells); fetch the file itself"
        if value.get("truncated_cells")
        else None
    )
    return Raw(place, value["row"], cut)
