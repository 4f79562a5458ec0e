"""Lets commands survive a closed pipe (`gra run --info | head -1`) and a terminal whose encoding lacks a character
(latin-1)."""

from __future__ import annotations

import codecs
import io
import json
import os
import sys
import unicodedata
from typing import Any

FALLBACK = "gra.fallback"  # the name of the error handler below
_WORDS = {
    "±": "+-",
    "−": "-",
    "–": "-",
    "—": "-",
    "×": "x",
    "…": "...",
    "→": "->",
    "←": "<-",
    "►": ">",
    "▶": ">",
    "•": "*",
    "✓": "+",
    "✔": "+",
    "✗": "x",
    "✘": "x",
    "≤": "<=",
    "≥": ">=",
    "≈": "~",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "\u00a0": " ",
}


class _Output(io.FileIO):
    """A file that discards all output after the other end of its pipe is closed."""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except BrokenPipeError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return len(data)


def outlive_reader() -> None:
    """Prepare sys.stdout and sys.stderr so that a closed pipe or an unknown character does not end a command with an
    error. Every command calls this function first.

    If the program that reads stdout through a pipe has ended, further output is discarded without an error. Characters
    that the encoding of stdout or stderr lacks are replaced. If a caller has replaced sys.stdout, e.g. to capture the
    output, it is left as it is.

    Catching BrokenPipeError is not enough: Hydra, rich and the interpreter's last flush raise it in three different
    places. Restoring SIGPIPE is not an option: it would kill a run when a server closes a connection.
    """
    codecs.register_error(FALLBACK, _fallback)
    if sys.stderr is sys.__stderr__ and isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors=FALLBACK)
    out = sys.stdout
    if out is not sys.__stdout__ or not isinstance(out, io.TextIOWrapper):
        return  # captured by the caller
    out.flush()
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Output(out.fileno(), "w", closefd=False)),
        encoding=out.encoding,
        errors=FALLBACK
        if out.errors in ("strict", "surrogateescape")
        else out.errors,  # other values were set by PYTHONIOENCODING
        line_buffering=out.line_buffering,
        write_through=out.write_through,
    )


def json_text(value: Any) -> str:
    """Return `value` as indented JSON. If the text has a character that the encoding of standard output cannot
    represent, all non-ASCII characters are written as escapes."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, indent=2)
    return text


def plain_text(text: str) -> str:
    """Return an ASCII approximation of `text`. The box-drawing characters of tables become -, | or +. Signs such as ±
    become similar ASCII signs, and letters lose their accents. Any other character becomes `?`, or `??` if it is two
    columns wide."""
    return "".join(sign if sign.isascii() else _plain(sign) for sign in text)


def _plain(sign: str) -> str:
    if sign in _WORDS:
        return _WORDS[sign]
    code = ord(sign)
    if 0x2500 <= code < 0x2580:  # box drawing
        name = unicodedata.name(sign)
        return (
            "+"
            if " AND " in name
            else "-"
            if name.endswith(" HORIZONTAL")
            else "|"
            if name.endswith(" VERTICAL")
            else "+"
        )
    if 0x2580 <= code < 0x25A0:  # blocks, of progress bars
        return "#"
    if 0x2800 <= code < 0x2900:  # braille, of spinners
        return "*"
    letters = "".join(part for part in unicodedata.normalize("NFKD", sign) if part.isascii())
    return letters or ("??" if unicodedata.east_asian_width(sign) in "WF" else "?")


def _fallback(error: UnicodeError) -> tuple[str | bytes, int]:
    """Handle a codec error: replace each character that the encoding lacks by an ASCII approximation. A file name can
    contain bytes that Python could not decode; these are written unchanged. UTF-8 cannot represent such bytes, so for
    UTF-8 they are replaced too."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    code = ord(error.object[error.start])
    if 0xDC80 <= code <= 0xDCFF and "utf" not in error.encoding.lower():
        return bytes([code - 0xDC00]), error.start + 1
    end = error.start + 1
    while end < error.end and not 0xDC80 <= ord(error.object[end]) <= 0xDCFF:
        end += 1
    return plain_text(error.object[error.start : end]), end
