"""Reads CSV and TSV files into records. A broken row is reported as one fault, and the rows after it are still read.

Python's csv module reads the rows. pyarrow and pandas (which `datasets` uses) are not suitable: they guess types ("007"
becomes 7), cannot name the line of a bad row if texts contain line breaks, and reject a whole file because of one byte.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from gra.errors import SeedError
from gra.synthesis.seeds.containers import Raw, bare_name

MAX_ROW = 1 << 20  # maximum characters of one row: bounds the search for the end of an open quote
_DELIMITERS = ",\t;|"
_LINE_END = re.compile(r"\r\n|\n|\r")
_BROKEN = re.compile("[\udc80-\udcff]")  # bytes that cannot be decoded, as lone surrogates
_TOO_LONG = str(object())  # stands for a line of more than MAX_ROW characters; compared by identity


def rows(
    handle: IO[bytes], path: Path, knows: Callable[[dict[str, Any]], bool], encoding: str = "UTF-8"
) -> Iterator[Raw]:
    """Yield a record for each row after the header. A record maps the column names to texts, or says why the row cannot
    be read. The record's attribute `place` says on which line of the file the row begins. Raises SeedError if the
    header cannot be read.

    `knows`: a function that takes a record and returns whether the project can read columns with these names. This
    function is used to choose the delimiter. `encoding`: the encoding of the file, for messages.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW))
    lines = _Lines(handle)
    if (first := lines.peek(1)) and (stated := re.fullmatch(r"sep=(.)\s*", first[0])):  # written by Excel
        lines.take(1)
    tabs = bare_name(path).endswith((".tsv", ".tab")) and "\t" in "".join(first)
    delimiter = stated[1] if first and stated else "\t" if tabs else _delimiter(lines.peek(30), knows)
    header: list[str] | None = None
    while lines.at(0) is not None:
        number = lines.number
        cells, used, fault = _row(lines, delimiter, None if header is None else len(header))
        lines.take(used)
        if fault is None and not any(cells):
            continue
        if header is None:
            if fault is not None:
                raise SeedError(f"{path}: the header cannot be read: {fault}")
            header = _header(cells)
            continue
        if fault is None and any(map(_BROKEN.search, cells)):
            fault = f"not {encoding}"
        if fault is not None:
            yield Raw(f"line {number}", fault=fault)
        else:
            yield Raw(f"line {number}", dict(zip(header, cells, strict=False)))


def looks_like_rows(sample: bytes, knows: Callable[[dict[str, Any]], bool]) -> bool:
    """Return whether a file is CSV or TSV and its header has column names that the project can read. `sample`: the
    beginning of the file. `knows`: a function that takes a record and returns whether the project can read columns with
    these names."""
    found = _split(sample.decode("utf-8", "replace"))[:30]
    return any(_knows(found, delimiter, knows) for delimiter in _DELIMITERS)


def _row(lines: _Lines, delimiter: str, width: int | None) -> tuple[list[str], int, str | None]:
    """Return the next row: its cells, the number of its lines, and its fault (None if it has none). `width`: the number
    of columns; None for the header.

    A faulty row can take several lines if it contains a quote. If its last line alone is a complete row, or if the
    quote is never closed, only its first line is dropped, so the rows after it survive. Otherwise the quote is part of
    a long text, and all lines of the row are dropped. In a TSV file quotes are often plain characters. Therefore the
    first line of a faulty row is returned without a fault if it has `width` cells when quotes are ignored.
    """
    used = size = 0
    if lines.at(0) is _TOO_LONG:
        return [], 1, f"longer than {MAX_ROW:,} characters"

    def feed() -> Iterator[str]:
        nonlocal used, size
        while size <= MAX_ROW and (line := lines.at(used)) is not None and line is not _TOO_LONG:
            used += 1
            size += len(line)
            yield line

    try:
        cells = next(csv.reader(feed(), delimiter=delimiter, strict=True), [])
        more = cells[width:] if width is not None else []
        if not any(cells) or width is None or (len(cells) >= width and not any(more)):
            return cells, max(1, used), None
        fault = f"{len(cells)} columns, the header has {width}"
    except csv.Error as error:
        open_end = "unexpected end" in str(error) or size > MAX_ROW
        fault = "a quote is opened and not closed" if open_end else f"not CSV: {str(error)[:80]}"
    first, last = lines.at(0), lines.at(used - 1)
    plain = (first or "").rstrip("\r\n").split(delimiter)
    if delimiter == "\t" and len(plain) == width:  # TSV files are mostly written without quoting
        return plain, 1, None
    unclosed = fault.startswith("a quote") or (last is not None and _is_whole(last, delimiter, width))
    return [], 1 if unclosed else max(1, used), fault


def _is_whole(line: str, delimiter: str, width: int | None) -> bool:
    """Return whether the line alone is a complete row of `width` cells."""
    try:
        return len(next(csv.reader([line], delimiter=delimiter, strict=True), [])) == width
    except csv.Error:
        return False


def _delimiter(sample: list[str], knows: Callable[[dict[str, Any]], bool]) -> str:
    """Return the delimiter that gives a header with known columns. If no delimiter does, return the one that gives the
    most columns, or a comma if each gives one column."""
    known = [delimiter for delimiter in _DELIMITERS if _knows(sample, delimiter, knows)]
    return max(known or _DELIMITERS, key=lambda delimiter: len(_cells(sample, delimiter)), default=",")


def _knows(sample: list[str], delimiter: str, knows: Callable[[dict[str, Any]], bool]) -> bool:
    header = _header(_cells(sample, delimiter))
    return bool(header) and knows(dict.fromkeys(header, "[text]"))


def _cells(sample: Iterable[str], delimiter: str) -> list[str]:
    try:
        return next((row for row in csv.reader(iter(sample), delimiter=delimiter) if any(row)), [])
    except csv.Error:
        return []


def _header(cells: list[str]) -> list[str]:
    """Return the column names without surrounding blanks. A repeated name gets a number."""
    names: list[str] = []
    for cell in cells:
        name = cell.strip()
        copies = sum(re.fullmatch(re.escape(name) + r"( \(\d+\))?", other) is not None for other in names)
        names.append(f"{name} ({copies + 1})" if copies else name)
    return names


def _split(text: str) -> list[str]:
    """Return the lines of `text` with their line ends. Unlike str.splitlines, it splits only at the three line ends
    that CSV knows."""
    ends = [match.end() for match in _LINE_END.finditer(text)]
    return [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True) if start < end]


class _Lines:
    """The lines of a file, with look-ahead. `number`: the number of the next line."""

    def __init__(self, handle: IO[bytes]):
        self._text = io.TextIOWrapper(handle, encoding="utf-8", errors="surrogateescape", newline="")
        self._ahead: list[str] = []
        self._first = 0  # index of the next line in `_ahead`: taking a line does not shift the list
        self.number = 1

    def at(self, place: int) -> str | None:
        """Return one line of the file without consuming it. `place`: the index of the line, counted from the first line
        that the method `take` has not consumed yet (index 0). Return None after the end of the file, and the marker
        _TOO_LONG for a line of more than MAX_ROW characters."""
        while len(self._ahead) <= self._first + place:
            line = self._text.readline(MAX_ROW)
            if not line:
                return None
            if len(line) == MAX_ROW and not line.endswith(("\n", "\r")):
                while line and not line.endswith(("\n", "\r")):
                    line = self._text.readline(MAX_ROW)
                line = _TOO_LONG
            self._ahead.append(line)
        return self._ahead[self._first + place]

    def peek(self, count: int) -> list[str]:
        return [line for place in range(count) if (line := self.at(place)) is not None]

    def take(self, count: int) -> None:
        self._first += count
        self.number += count
        if self._first * 2 > len(self._ahead):
            del self._ahead[: self._first]
            self._first = 0
