"""Reads JSON files of any layout as a stream of values with their places: one value per line, one array, or several
documents.

If there is one value per line, a line that is not JSON is reported as a fault, and the other lines are read. An array
is read element by element, so it may have any size.

After a syntax error in an array, reading resumes at a later record. If the broken record begins a line, this is the
next object that begins a line with the same indentation. Otherwise it is the next object that has the columns of an
earlier record and stands after a comma or at the beginning of a line. SeedError is raised if the array holds chat
turns. It is also raised if no later record is found, unless the broken record is clearly the last one; in a file that
is cut off, this is not clear.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from gra.errors import SeedError, parts_of
from gra.fileio import bounded_lines
from gra.synthesis.seeds.containers import Raw
from gra.synthesis.seeds.json_window import BLANK, DECODER, SyntaxFault, Window

MAX_LINE = 8 << 20  # maximum bytes of one jsonl record
_BOM = b"\xef\xbb\xbf"
_NEXT_OBJECT = re.compile(r"\n[{\[]")


def has_lines(sample: list[bytes], named_lines: bool) -> bool:
    """Return whether a file has one JSON value per line.

    `sample`: the file's first lines that are not blank, each cut at MAX_LINE + 1 bytes. `named_lines`: whether the
    file's name ends in .jsonl, .ndjson or .jsonlines. The name decides only if the lines could be either one JSON value
    per line or a single JSON document.
    """
    if not sample:
        return False
    opening = sample[0].lstrip(_BOM + b" \t\x1e")[:1]
    if is_json(sample[0]):
        return len(sample) > 1 or opening != b"["
    rest = sample[1:]
    if sample[0].strip() in (b"[", b"{") or any(line.lstrip()[:1] in (b"]", b"}") for line in rest):
        return False  # one document over several lines
    alone = sum(map(is_json, rest))  # the first line is broken jsonl, or the beginning of a document over several lines
    if opening == b"[" and not any(line.lstrip()[:1] == b"[" for line in rest):
        return False
    return alone * 2 > len(rest) or (named_lines and bool(rest) and not rest[0][:1].isspace())


def is_json(line: bytes) -> bool:
    """Return whether the line alone is a JSON object or array."""
    try:
        return isinstance(json.loads(_bare(line)), dict | list)
    except (ValueError, RecursionError):
        return False


def lines(handle: IO[bytes], encoding: str = "UTF-8") -> Iterator[Raw]:
    """Yield the values of a file with one JSON value per line. Each value is yielded in a Raw record. If a line is not
    JSON, the record has no value, and its attribute `fault` says what is wrong. `handle`: the file as a stream in
    UTF-8. `encoding`: the encoding in which the file was written, for messages."""
    for number, whole in enumerate(bounded_lines(handle, MAX_LINE), 1):
        place = f"line {number}"
        if whole is None:
            yield Raw(place, fault=f"longer than {MAX_LINE:,} bytes")
            continue
        line = _bare(whole)
        if not line.strip():
            continue
        try:
            yield Raw(place, json.loads(line.decode()))
        except UnicodeDecodeError as error:
            yield Raw(place, fault=f"not {encoding} (byte {error.start + 1} of the line)")
        except json.JSONDecodeError as error:
            if error.msg == "Extra data" and (several := _all_values(line.decode())) is not None:
                yield from (
                    Raw(place if len(several) == 1 else f"{place}, record {n}", v) for n, v in enumerate(several, 1)
                )
            else:
                yield Raw(place, fault=f"not JSON: {error.msg} (column {error.colno})")
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, or too deep nesting
            yield Raw(place, fault=f"not usable JSON: {str(error)[:100]}")


def documents(handle: IO[bytes], path: Path, encoding: str = "UTF-8") -> Iterator[Raw]:
    """Yield the elements of a JSON array, or JSON values that follow one another. Each value is yielded in a Raw
    record, whose attribute `place` is "record 1", "record 2" and so on.

    If reading can resume after a syntax error, a record with the error in `fault` is yielded instead of a value.
    Otherwise SeedError is raised.
    """
    text = Window(handle, path, encoding)
    number = 0
    while text.skip(BLANK):
        if text.next_is("["):
            for found in _elements(text, path):
                number += 1
                yield Raw(f"record {number}{found.place}", found.value, found.fault)
            continue
        start = text.line
        number += 1
        try:
            value = text.value()
        except SeedError as error:
            if number == 1 or not text.seek(_NEXT_OBJECT):
                raise
            yield Raw(f"record {number} (line {start})", fault=parts_of(error)[0].removeprefix(f"{path}: "))
            continue
        yield Raw(f"record {number}", value)


def _elements(text: Window, path: Path) -> Iterator[Raw]:
    """Yield the elements of the array that begins at the current position of `text`. A broken element is yielded as one
    fault with its line. If the elements are the turns of a chat, they are yielded together as one list. Raises
    SeedError for a syntax error after which reading cannot resume."""
    from gra.synthesis.seeds.turns import is_turn

    text.take("[")
    turns: list[Any] | None = None
    columns: set[frozenset[str]] = set()  # column names of the elements so far
    while True:
        indent = text.indent()
        if text.next_is("]"):  # an empty array, or a trailing comma
            text.take("]")
            break
        line = text.line
        try:
            value = text.value()
            end = text.separator()
        except SyntaxFault as error:
            if turns is not None:
                raise
            again = text.seek_record(columns, indent)
            if not again and not text.leave_last(indent):
                raise
            after = f"; reading resumes at the record at line {text.line}" if again else ""
            yield Raw(f" (line {line})", fault=f"{str(error).removeprefix(f'{path}: ')}{after}")
            if not again:
                return
            continue
        if turns is None and is_turn(value) and not columns:
            turns = []
        if turns is not None:
            turns.append(value)
        else:
            if isinstance(value, dict) and len(columns) < 1000:
                columns.add(frozenset(value))
            yield Raw("", value)
        if end == "]":
            break
    if turns is not None:
        yield Raw("", turns)


def _all_values(text: str) -> list[Any] | None:
    """Return the JSON objects and arrays in the line `text`, which follow one another; None if the line holds anything
    else. A comma at the end of the line, as in an array that lost its brackets, is ignored."""
    found, at = [], 0
    text = text.rstrip().removesuffix(",")
    try:
        while (at := BLANK.match(text, at).end()) < len(text):  # type: ignore[union-attr]
            value, at = DECODER.raw_decode(text, at)
            if not isinstance(value, dict | list):
                return None
            found.append(value)
    except (ValueError, RecursionError):
        return None
    return found


def _bare(line: bytes) -> bytes:
    return line.lstrip(b"\x1e").removeprefix(_BOM)
