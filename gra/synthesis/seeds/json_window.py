"""Reads a long JSON text piece by piece: the next value, the separator after it, and, after a syntax error, the next
record."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import IO, Any

from gra.errors import SeedError
from gra.wellformed import printable

MAX_DOCUMENT = 1 << 30  # maximum characters of one object or array element, which is read whole
_CHUNK = 1 << 18
# What may lie between documents: concatenated files keep their byte order marks; RFC 7464 uses 0x1e
BLANK = re.compile(r"[\s\ufeff\x1e]*")
_AFTER_ELEMENT = re.compile(r"\s*([,\]])")
_OBJECT = re.compile(r"[,\n]\s*\{")  # a possible beginning of a record in an array
DECODER = json.JSONDecoder()


class SyntaxFault(SeedError):
    """Raised for a value that is not JSON or cannot be used. Reading may resume after it."""


class Window:
    """The part of a long JSON text that was read from its file and is not consumed yet. It begins at the current
    position. The line and the column of this position are known."""

    def __init__(self, handle: IO[bytes], path: Path, encoding: str):
        self._handle, self._path, self._encoding = handle, path, encoding
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text, self._at, self._ended = "", 0, False
        self.line, self._column = 1, 0  # position of `_at`

    def skip(self, what: re.Pattern[str]) -> bool:
        """Move past the text that the pattern `what` matches at the current position. Return whether text is left after
        it."""
        while True:
            match = what.match(self._text, self._at)
            assert match is not None
            self._advance(match.end())
            if self._at < len(self._text) or not self._more():
                return self._at < len(self._text)

    def indent(self) -> int | None:
        """Move past blanks to the next value. Return its indentation if it begins a line, else None."""
        line = self.line
        self.skip(BLANK)
        return self._column if self.line > line else None

    def next_is(self, character: str) -> bool:
        return self._text.startswith(character, self._at)

    def take(self, character: str) -> None:
        assert self.next_is(character)
        self._advance(self._at + 1)

    def separator(self) -> str:
        """Consume and return the comma after an element, or the bracket that ends the array. If the comma before the
        next object is missing, return a comma."""
        while (match := _AFTER_ELEMENT.match(self._text, self._at)) is None:
            if self._text[self._at :].lstrip().startswith("{"):
                return ","
            if self._text[self._at :].strip() or not self._more():
                raise self._fault("not JSON: a comma or ] is missing", self._at)
        self._advance(match.end())
        return match[1]

    def value(self) -> Any:
        """Consume and return the JSON value that begins at the current position. Raises SyntaxFault if there is no
        usable value, and SeedError if the value is too long."""
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
                if end < len(self._text) or not self._more():  # else a number may continue in the next chunk
                    self._advance(end)
                    return value
            except json.JSONDecodeError as error:
                if self._is_certain(error) or not self._more():
                    fault = self._fault(f"not JSON: {error.msg}", error.pos)
                    raise SyntaxFault(f"{fault}{self._beginning()}") from error
            except (ValueError, RecursionError) as error:
                raise SyntaxFault(
                    f"{self._path}: not usable JSON after line {self.line}: {str(error)[:200]}"
                ) from error

    def seek(self, what: re.Pattern[str]) -> bool:
        """Move the reading position to the last character of the next match of the pattern `what`, and return True. If
        there is no match, return False without moving it."""
        while (match := what.search(self._text, self._at + 1)) is None:
            if not self._more():
                return False
        self._advance(match.end() - 1)
        return True

    def seek_record(self, columns: set[frozenset[str]], indent: int | None) -> bool:
        """Move the reading position from a broken record to the next record, and return True. If there is no next
        record, return False without moving it.

        `indent`: the indentation of the broken record; None if the record does not begin a line. If `indent` is a
        number, the next record is the next object that begins a line with the same indentation. If `indent` is None,
        the next record is the next object whose keys equal one of the sets in `columns`.
        """
        place = 1  # relative to `_at`
        while True:
            match = _OBJECT.search(self._text, self._at + place)
            if match is None:
                if not self._more():
                    return False
                continue
            start = match.end() - 1
            place = match.start() - self._at
            found = self._record_at(start, columns, indent)
            if found is None and self._more():
                continue
            if found:
                self._advance(start)
                return True
            place = start - self._at

    def _record_at(self, start: int, columns: set[frozenset[str]], indent: int | None) -> bool | None:
        """Return whether a record begins at `start`; None if more text must be read first."""
        if indent is not None and not self._begins_line(start, indent):
            return False
        try:
            value, end = DECODER.raw_decode(self._text, start)
        except json.JSONDecodeError as error:
            return False if self._is_certain(error) or self._ended else None
        except (ValueError, RecursionError):
            return False
        if not isinstance(value, dict) or (indent is None and frozenset(value) not in columns):
            return False
        rest = self._text[end:].lstrip()
        if rest.startswith("]") and not rest[1:].strip():  # this "]" ends the file, or a list inside the broken record
            return True if self._ended else None
        return rest.startswith(",") if rest or self._ended else None

    def leave_last(self, indent: int | None) -> bool:
        """If the broken record is the last of its array, skip it: set the reading position to the end of the file and
        return True. If the file is cut off or another record may follow, return False and keep the position. `indent`:
        the indentation of the broken record; None if the record does not begin a line."""
        while self._more():
            pass
        others = (found.end() - 1 for found in _OBJECT.finditer(self._text, self._at + 1))
        if not self._text.rstrip().endswith("]") or any(
            indent is None or self._begins_line(at, indent) for at in others
        ):
            return False
        self._advance(len(self._text))
        return True

    def _begins_line(self, start: int, indent: int) -> bool:
        before = self._text[self._text.rfind("\n", 0, start) + 1 : start]
        return len(before) == indent and not before.strip()

    def _beginning(self) -> str:
        """Return a note with the beginning of the file if even its first character is not JSON; else ""."""
        if self.line > 1 or self._column or self._text[self._at : self._at + 1] in ("{", "[", ""):
            return ""
        begins = printable(" ".join(self._text[self._at : self._at + 40].split()))
        return f" (the file begins with `{begins}`; supported are JSON, jsonl, CSV, TSV, parquet and Arrow)"

    def _is_certain(self, error: json.JSONDecodeError) -> bool:
        """Return whether the error would remain if more text were read. An unterminated string, or an error at the end
        of the text read so far, may be no error, because the value may continue in the next piece."""
        return not error.msg.startswith("Unterminated") and error.pos + 16 < len(self._text)

    def _more(self) -> bool:
        """Read more text. The window doubles each time, so a long value is parsed a few times and not once per chunk. Return False
        at the end."""
        if self._ended:
            return False
        held = len(self._text) - self._at
        if held > MAX_DOCUMENT:
            raise SeedError(
                f"{self._path}: one JSON value of more than {MAX_DOCUMENT:,} characters (line {self.line})"
                "\n    -> convert it to jsonl (one record per line)"
            )
        data = self._handle.read(max(_CHUNK, held))
        self._ended = not data
        try:
            text = self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            line = self.line + self._text.count("\n", self._at) + error.object.count(b"\n", 0, error.start)
            raise SeedError(
                f"{self._path}: not {self._encoding} at line {line}\n    -> convert it, e.g. iconv -f WINDOWS-1252 -t UTF-8"
            ) from error
        self._text, self._at = self._text[self._at :] + text, 0
        return True

    def _advance(self, end: int) -> None:
        self.line, self._column = self._place(end)
        self._at = end

    def _place(self, position: int) -> tuple[int, int]:
        """Return the line of `position`, and how many characters stand before it in that line."""
        ends = self._text.count("\n", self._at, position)
        if not ends:
            return self.line, self._column + position - self._at
        return self.line + ends, position - self._text.rfind("\n", self._at, position) - 1

    def _fault(self, what: str, position: int) -> SyntaxFault:
        line, column = self._place(position)
        return SyntaxFault(f"{self._path}: {what} at line {line}, column {column + 1}")
