"""JSON of every layout as a stream of values with their places: one a line, one array, several documents one after another.

A line that is no JSON is one fault, the others are read. An array is read element by element, so that its size does not matter;
a syntax error inside one ends the reading, as nobody can tell where the next record begins.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from gra.errors import SeedError
from gra.synthesis.seed_containers import Raw

MAX_LINE = 8 << 20  # bytes of one jsonl record
MAX_DOCUMENT = 1 << 30  # characters of one object or array element: it is read whole
_CHUNK = 1 << 18
_BOM = b"\xef\xbb\xbf"
_BLANK = re.compile(r"[\s\ufeff\x1e]*")  # between documents: files joined end to end keep their marks; RFC 7464 has 0x1e
_AFTER_ELEMENT = re.compile(r"\s*([,\]])")
_NEXT_OBJECT = re.compile(r"\n[{\[]")
_DECODER = json.JSONDecoder()


def has_lines(sample: list[bytes], named_lines: bool) -> bool:
    """Whether a file is to be read line by line. `sample`: its first lines that are not blank, cut at MAX_LINE + 1 bytes;
    `named_lines`: its name ends as jsonl does, which decides where the content does not."""
    if not sample:
        return False
    opening = sample[0].lstrip(_BOM + b" \t\x1e")[:1]
    if is_json(sample[0]):
        return len(sample) > 1 or opening != b"["
    rest = sample[1:]
    if sample[0].strip() in (b"[", b"{") or any(line.lstrip()[:1] in (b"]", b"}") for line in rest):
        return False  # a document that is laid out over lines
    alone = sum(map(is_json, rest))  # else the first line is spoilt, or begins something that ends further down
    if opening == b"[" and not any(line.lstrip()[:1] == b"[" for line in rest):
        return False
    return alone * 2 > len(rest) or (named_lines and bool(rest) and not rest[0][:1].isspace())


def is_json(line: bytes) -> bool:
    """Whether the line is an object or an array by itself."""
    try:
        return isinstance(json.loads(_bare(line)), dict | list)
    except (ValueError, RecursionError):
        return False


def lines(handle: IO[bytes], encoding: str = "UTF-8") -> Iterator[Raw]:
    """One value a line. `handle` gives UTF-8; `encoding` is what the file itself has, for messages."""
    number = 0
    while line := handle.readline(MAX_LINE + 1):
        number += 1
        place = f"line {number}"
        if len(line) > MAX_LINE:
            while line and not line.endswith(b"\n"):
                line = handle.readline(MAX_LINE)
            yield Raw(place, fault=f"longer than {MAX_LINE:,} bytes")
            continue
        line = _bare(line)
        if not line.strip():
            continue
        try:
            yield Raw(place, json.loads(line.decode()))
        except UnicodeDecodeError as error:
            yield Raw(place, fault=f"not {encoding} (byte {error.start + 1} of the line)")
        except json.JSONDecodeError as error:
            if error.msg == "Extra data" and (several := _all_values(line.decode())) is not None:
                yield from (Raw(place if len(several) == 1 else f"{place}, record {n}", v) for n, v in enumerate(several, 1))
            else:
                yield Raw(place, fault=f"not JSON: {error.msg} (column {error.colno})")
        except (ValueError, RecursionError) as error:  # numbers of thousands of digits, absurd nesting
            yield Raw(place, fault=f"not usable JSON: {str(error)[:100]}")


def documents(handle: IO[bytes], path: Path, encoding: str = "UTF-8") -> Iterator[Raw]:
    """The elements of an array, or the values that stand one after another, as "record 1", "record 2", ...

    Raises SeedError: a syntax error (but where objects follow one another: then it is a fault, and the next object is sought).
    """
    text = _Text(handle, path, encoding)
    number = 0
    while text.skip(_BLANK):
        if text.next_is("["):
            for value in _elements(text):
                number += 1
                yield Raw(f"record {number}", value)
            continue
        start = text.line
        number += 1
        try:
            value = text.value()
        except SeedError as error:
            if number == 1 or not text.seek(_NEXT_OBJECT):
                raise
            yield Raw(f"record {number} (line {start})", fault=str(error).removeprefix(f"{path}: "))
            continue
        yield Raw(f"record {number}", value)


def _elements(text: _Text) -> Iterator[Any]:
    """The elements of the array that begins here. A chat (its elements are turns) is one value: the list."""
    from gra.synthesis.seed_turns import is_turn

    text.take("[")
    turns: list[Any] | None = None
    text.skip(_BLANK)
    if text.next_is("]"):
        text.take("]")
        return
    while True:
        text.skip(_BLANK)
        value = text.value()
        if turns is None and is_turn(value):
            turns = []
        if turns is None:
            yield value
        else:
            turns.append(value)
        if text.separator() == "]":
            break
    if turns is not None:
        yield turns


class _Text:
    """A window on a long text: what has been read and not yet used, with the place of its beginning."""

    def __init__(self, handle: IO[bytes], path: Path, encoding: str):
        self._handle, self._path, self._encoding = handle, path, encoding
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text, self._at, self._ended = "", 0, False
        self.line, self._column = 1, 0  # of `_at`

    def skip(self, what: re.Pattern[str]) -> bool:
        """Go past `what`; whether anything is left."""
        while True:
            match = what.match(self._text, self._at)
            assert match is not None
            self._advance(match.end())
            if self._at < len(self._text) or not self._more():
                return self._at < len(self._text)

    def next_is(self, character: str) -> bool:
        return self._text.startswith(character, self._at)

    def take(self, character: str) -> None:
        assert self.next_is(character)
        self._advance(self._at + 1)

    def separator(self) -> str:
        """The comma after an element, or the bracket that ends the array."""
        while (match := _AFTER_ELEMENT.match(self._text, self._at)) is None:
            if self._text[self._at :].strip() or not self._more():
                raise self._fault("not JSON: a comma or ] is missing", self._at)
        self._advance(match.end())
        return match[1]

    def value(self) -> Any:
        """The value that begins here. Raises SeedError where there is none, or it is too long."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
                if end < len(self._text) or not self._more():  # else a number may go on
                    self._advance(end)
                    return value
            except json.JSONDecodeError as error:
                if not self._more():
                    raise self._fault(f"not JSON: {error.msg}", error.pos) from error
            except (ValueError, RecursionError) as error:
                raise SeedError(f"{self._path}: not usable JSON after line {self.line}: {str(error)[:200]}") from error

    def seek(self, what: re.Pattern[str]) -> bool:
        """Go to the last character of the next `what`; False, with nothing moved, where there is none."""
        while (match := what.search(self._text, self._at + 1)) is None:
            if not self._more():
                return False
        self._advance(match.end() - 1)
        return True

    def _more(self) -> bool:
        """Read on: as much again as is held, so that a long value is parsed a few times and not once per chunk."""
        if self._ended:
            return False
        held = len(self._text) - self._at
        if held > MAX_DOCUMENT:
            raise SeedError(
                f"{self._path}: one JSON value of more than {MAX_DOCUMENT:,} characters (line {self.line}); "
                "convert it to jsonl (one record a line)"
            )
        data = self._handle.read(max(_CHUNK, held))
        self._ended = not data
        try:
            text = self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            line = self.line + self._text.count("\n", self._at) + error.object.count(b"\n", 0, error.start)
            raise SeedError(
                f"{self._path}: not {self._encoding} at line {line}; convert it, e.g. iconv -f WINDOWS-1252 -t UTF-8"
            ) from error
        self._text, self._at = self._text[self._at :] + text, 0
        return True

    def _advance(self, end: int) -> None:
        self.line, self._column = self._place(end)
        self._at = end

    def _place(self, position: int) -> tuple[int, int]:
        """Line, and number of characters before `position` in it."""
        ends = self._text.count("\n", self._at, position)
        if not ends:
            return self.line, self._column + position - self._at
        return self.line + ends, position - self._text.rfind("\n", self._at, position) - 1

    def _fault(self, what: str, position: int) -> SeedError:
        line, column = self._place(position)
        return SeedError(f"{self._path}: {what} at line {line}, column {column + 1}")


def _all_values(text: str) -> list[Any] | None:
    """The values that stand one after another in a line, or one with the comma of an array whose brackets were lost; None where
    that is not all it holds."""
    found, at = [], 0
    text = text.rstrip().removesuffix(",")
    try:
        while (at := _BLANK.match(text, at).end()) < len(text):  # type: ignore[union-attr]
            value, at = _DECODER.raw_decode(text, at)
            if not isinstance(value, dict | list):
                return None
            found.append(value)
    except (ValueError, RecursionError):
        return None
    return found


def _bare(line: bytes) -> bytes:
    return line.lstrip(b"\x1e").removeprefix(_BOM)
