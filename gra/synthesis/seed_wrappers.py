"""Records inside larger JSON values: arrays, {"data": [...]}, {"train": [...]}, {"rows": [{"row": ...}]}, columns, pandas' forms.

Pure. A value that is a record itself (`is_record` says so) is never taken apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gra.synthesis.seed_containers import Raw
from gra.synthesis.seed_splits import choose_split, is_split
from gra.synthesis.seed_text import BadRecord
from gra.synthesis.seed_turns import is_chat, is_turn
from gra.wellformed import printable

_BOXES = ("data", "rows", "records", "items", "examples", "samples", "entries", "instances", "dataset", "results", "seeds")
_ASKED = {"question", "query", "instruction", "prompt", "input"}  # of a record; turns of a chat have speakers' names
_DEPTH = 4


@dataclass(frozen=True)
class Unwrapper:
    """`is_record`: whether a mapping is one seed record; `split`: the one to take where there are several; `tell`: takes what
    the user should know."""

    is_record: Callable[[Any], bool]
    split: str
    tell: Callable[[str], None]
    _plain: set[tuple[str, ...]] = field(default_factory=set)  # columns of records met, so that most need no look inside

    def records(self, raw: Raw) -> Iterator[Raw]:
        """The records in what was read at one place: mostly that itself."""
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
        whole = raw.place == "record 1"  # of a document: its records count from 1
        for number, value in enumerate(found, 1):
            yield _row(f"record {number}" if whole else f"{raw.place}, record {number}", value)

    def _open(self, value: Any, depth: int) -> list[Any] | None:
        """The records in `value`, or None where it is a record or unknown."""
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
            self.tell(f"the file holds {len(value.get('rows') or ()):,} of the {total:,} rows that its server has")
        boxes = {str(key): entry for key, entry in value.items() if _is_box(str(key), self.split)}
        opened = {key: found for key, entry in boxes.items() if (found := self._open(entry, depth - 1)) is not None}
        if opened:
            name = choose_split(list(opened), self.split, self.tell) if len(opened) > 1 else next(iter(opened))
            return opened[name]
        entries = list(value.values())
        if all(isinstance(entry, dict) for entry in entries) and all(map(self.is_record, entries[:3])):
            return entries  # pandas: orient="index"; a mapping of ids to records
        return None

    def _is_batch_of_pairs(self, value: Any) -> bool:
        """{"data": [{"question": ..., "answer": ...}, ...]}: records, though each could be a question and its answer in a chat."""
        if not isinstance(value, list) or not value or not all(isinstance(entry, dict) for entry in value):
            return False
        return bool(_ASKED & value[0].keys()) and not is_turn(value[0]) and self.is_record(value[0])

    def _holds_columns(self, value: dict[str, Any]) -> bool:
        """{"train": {"instruction": [...], "output": [...]}}, which is a tag tree as well."""
        boxes = [entry for key, entry in value.items() if _is_box(str(key), self.split) and isinstance(entry, dict)]
        return bool(boxes) and all(self._columns(entry) is not None for entry in boxes)

    def _columns(self, value: dict[str, Any]) -> list[Any] | None:
        """{"instruction": [...], "output": [...]} as rows; pandas has mappings from row names in place of the lists."""
        columns = list(value.values())
        if columns and all(isinstance(c, dict) and c for c in columns) and all(c.keys() == columns[0].keys() for c in columns):
            value = {name: list(column.values()) for name, column in value.items()}
        if not columns or not all(isinstance(column, list) and column for column in value.values()):
            return None
        first = {name: column[0] for name, column in value.items()}
        if any(is_turn(entry) for entry in first.values()) or not self.is_record(first):
            return None
        lengths = {name: len(column) for name, column in value.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"`{name[:40]}` {n:,}" for name, n in list(lengths.items())[:10])
            raise BadRecord(printable(f"columns of unequal lengths: {listed}"))
        return [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]


def _natural_instructions(value: dict[str, Any]) -> list[Any] | None:
    """{Definition: [text], Instances: [{input, output: [text]}]}: each instance is the definition's task on its own input."""
    given, instances = value.get("Definition"), value.get("Instances")
    given = given[0] if isinstance(given, list) and given else given
    if not isinstance(given, str) or not isinstance(instances, list):
        return None
    found = [{"instruction": given, **entry} if isinstance(entry, dict) else entry for entry in instances]
    for entry in found:
        if isinstance(entry, dict) and isinstance(entry.get("output"), list) and entry["output"]:
            entry["output"] = entry["output"][0]  # of several that are right
    return found


def _is_batch(values: list[Any]) -> bool:
    """Whether these are records and not the turns of one chat."""
    if values and all(isinstance(value, dict) for value in values):
        return not is_turn(values[0])
    return bool(values) and all(isinstance(value, list) and value and is_chat(value) for value in values)


def _is_box(name: str, split: str) -> bool:
    return name.lower() in _BOXES or name == split or is_split(name)


def _is_row(value: Any) -> bool:
    """Whether this is a row as the hub's datasets server gives it."""
    return isinstance(value, dict) and isinstance(value.get("row"), dict) and len(value) <= 3


def _row(place: str, value: Any) -> Raw:
    if not _is_row(value):
        return Raw(place, value)
    cut = "the server cut off its cells (truncated_cells); fetch the file itself" if value.get("truncated_cells") else None
    return Raw(place, value["row"], cut)
