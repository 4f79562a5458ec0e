"""Turns raw records into the fields of seeds: picks the reader that fits each record, collects notes, and counts bad
records."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gra.synthesis.seeds.arrow_files import read_hub
from gra.synthesis.seeds.column_names import suggest
from gra.synthesis.seeds.columns import Columns, Read, Shape, mapped
from gra.synthesis.seeds.known_sets import READERS, shape_of
from gra.synthesis.seeds.marks import unmarked
from gra.synthesis.seeds.settings import SeedSettings, resolve
from gra.synthesis.seeds.sources import Container, Source, read_files
from gra.synthesis.seeds.text import BadRecord, ColumnFault, Fields, columns_of
from gra.synthesis.seeds.turns import is_chat, is_turn

_MOST_SHAPES = 1000  # bounds the memory: a hostile file may have different columns in every record
_PLACES = 5


@dataclass
class Faults:
    """Counts bad records by reason. For each reason, it also stores the positions of the first few bad records, e.g.
    "line 7". Reasons that differ only in numbers count as one reason."""

    groups: dict[str, tuple[str, Counter[str], list[str]]] = field(default_factory=dict)
    total: int = 0
    of_columns: int = 0
    undecodable: int = 0
    example: Any = None  # the first record with a column fault

    def add(self, place: str, reason: str) -> None:
        self.total += 1
        self.undecodable += reason.startswith("not UTF")
        kind = re.sub(r"\d[\d,]*", "#", reason)
        if kind not in self.groups and len(self.groups) >= _MOST_SHAPES:
            kind = reason = "other reasons"
        _, count, places = self.groups.setdefault(kind, (reason, Counter(), []))
        count["n"] += 1
        if len(places) < _PLACES:
            places.append(place)

    def listed(self, most: int = 10) -> list[str]:
        """Return up to `most` lines, one for each of the commonest reasons why records were bad. A line has the form
        "REASON (12 records: line 1, line 2, ...)". If there are more reasons, one last line counts the other reasons
        and their records."""
        ranked = sorted(self.groups.values(), key=lambda group: -group[1]["n"])
        found = []
        for reason, count, places in ranked[:most]:
            n = count["n"]
            where = ", ".join(places) + (", ..." if n > len(places) else "")
            found.append(f"{reason} ({n:,} {'record' if n == 1 else 'records'}: {where})")
        if len(ranked) > most:
            rest = sum(count["n"] for _, count, _ in ranked[most:])
            found.append(f"{len(ranked) - most:,} other reasons ({rest:,} records)")
        return found

    def override(self, key: str = "seeds.columns") -> str:
        """Suggest a column map: return it as an override that the user can type. The map is made from the columns of
        the first record in which a column was missing, unknown or ambiguous. Return "" if there was no such record, or
        if none of its columns fits."""
        return suggest(self.example, key) if self.of_columns else ""


class Reading:
    """One pass over the seeds that `settings` names. The method `fields` yields the seeds and, while doing so, fills
    the attributes `notes`, `labels` and `faults`."""

    def __init__(self, settings: SeedSettings, base: Path | None):
        self.faults = Faults()
        self.notes: dict[str, None] = {}  # an ordered set
        self.labels: Counter[str] = Counter()
        self.first: Any = None  # the first readable record
        self._settings, self._base = settings, base
        self._fixed: Read | None = None
        if settings.format in READERS:
            self._fixed, self._label = READERS[settings.format], f"{settings.format} (seeds.format)"
        elif settings.columns.given:
            self._fixed, self._label = mapped(settings.columns), f"{settings.columns} (seeds.columns)"
        self._shapes: dict[tuple[str, ...], Shape] = {}
        self._main: Shape | None = None

    def fields(self) -> Iterator[tuple[str, Fields | str]]:
        """Yield (place, content) for every seed, and (place, reason) for every bad record. The place is a text such as
        "line 7", and the reason says why the record is bad. Raises SeedError if the source cannot be read."""
        for raw in self._records():
            if raw.fault is not None:
                yield raw.place, self._bad(raw.place, raw.fault)
                continue
            self.first = raw.value if self.first is None else self.first
            try:
                found, label = self._read(raw.value)
                found = [unmarked(fields) for fields in found]
            except BadRecord as error:
                if isinstance(error, ColumnFault):
                    self.faults.of_columns += 1
                    self.faults.example = raw.value if self.faults.example is None else self.faults.example
                yield raw.place, self._bad(raw.place, str(error))
                continue
            self.labels[label] += len(found)
            for fields in found:
                yield f"{raw.place}: {fields.part}" if fields.part else raw.place, fields

    def label(self) -> str | None:
        """Return a text that says how the records were read, for the log and the data card. Records with the same
        columns form a group. The text gives the columns of the largest group, then those of up to three others. Return
        None if no record was read."""
        ranked = self.labels.most_common()
        others = "; ".join(f"{label} in {n:,}" for label, n in ranked[1:4])
        return (ranked[0][0] + (f"; also {others}" if others else "")) if ranked else None

    def _bad(self, place: str, reason: str) -> str:
        self.faults.add(place, reason)
        return reason

    def _records(self) -> Iterator[Any]:
        settings = self._settings
        assert settings.path is not None
        if settings.hub is not None:
            return read_hub(settings.hub, settings.config, settings.split, settings.revision)
        forced: Container | None = settings.format if settings.format in ("jsonl", "json", "csv", "parquet") else None  # type: ignore[assignment]
        is_record = _has(settings.columns) if settings.columns.given and settings.format not in READERS else _recognised
        path = resolve(settings.path, self._base)
        return read_files(Source(path, forced, settings.split, settings.config, is_record, self._add_note))

    def _add_note(self, note: str) -> None:
        if len(self.notes) < 20:
            self.notes[note] = None

    def _read(self, record: Any) -> tuple[list[Fields], str]:
        """Return the record's seeds and a label that says how it was read. In a merged file the records can differ in
        their columns; each is read by its own columns. But if an earlier record has an answer column, a record without
        one is bad."""
        if self._fixed is not None:
            return self._fixed(record), self._label
        shape = self._shape(record) or self._main
        if shape is None and is_turn(record):
            raise BadRecord("this record is a single turn of a chat; put all turns of a conversation into one record")
        if shape is None:
            raise ColumnFault(f"not of a known format ({columns_of(record)})")
        if self._main is not None and self._main.answers and not shape.answers:
            shape = self._main
        if self._main is None or (shape.answers and not self._main.answers):
            self._main = shape
        try:
            return shape.read(record), shape.label
        except BadRecord:
            other = shape_of(record)  # by this record's values: the columns of the cached shape may be null in it
            if other is None or other.label == shape.label or (shape.answers and not other.answers):
                raise
            return other.read(record), other.label

    def _shape(self, record: Any) -> Shape | None:
        if not isinstance(record, dict):
            return shape_of(record)
        columns = tuple(map(str, record))
        if columns not in self._shapes:
            shape = shape_of(record)
            if shape is None or len(self._shapes) >= _MOST_SHAPES:
                return shape
            self._shapes[columns] = shape
        return self._shapes[columns]


def _recognised(value: Any) -> bool:
    try:
        return shape_of(value) is not None
    except ColumnFault:
        return True


def _has(columns: Columns) -> Any:
    """Return a function that says whether a mapping has the mapped columns, with values that can belong to one record."""

    def has(value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        if columns.messages is not None:
            return columns.messages in value and (is_chat(value[columns.messages]) or value[columns.messages] is None)
        found = [name for name in (columns.instruction, columns.response) if name is not None]
        return all(name in value and not isinstance(value[name], dict) for name in found) and not all(
            isinstance(value[name], list) and not is_chat(value[name]) for name in found
        )

    return has
