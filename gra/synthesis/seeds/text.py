"""PURE: reads texts from raw records: which values count as missing, what a text may contain, how messages name values and
columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_CHARS = 100_000  # maximum characters of an instruction or a response
# pandas, CSV writers and str() write these for a missing value. None of Alpaca's 52,002 instructions or outputs is one of them.
MISSING = frozenset({"", "nan", "none", "null", "<na>"})
_NO_INPUT = MISSING | {"noinput", "no input", "n/a", "not applicable"}  # Alpaca's words for no input


class BadRecord(ValueError):
    """Raised for a record that cannot be used as a seed. The message is the reason. This error is caught by a caller
    that knows the record's position in its source."""


class ColumnFault(BadRecord):
    """Raised for a record in which a column is missing, unknown or ambiguous. The user may be able to help with a
    column map."""


@dataclass(frozen=True)
class Dropped:
    """What was left out when a record was turned into a seed.

    `system`: whether a system prompt was left out. `turns`: the number of turns before the question or after the answer
    that were left out. `marks`: whether a model's reasoning, or tokens or role names of its chat template, were left
    out.
    """

    system: bool = False
    turns: int = 0
    marks: bool = False


@dataclass(frozen=True)
class Fields:
    """The content of one seed.

    `part`: the part of the record that the seed comes from, if one record gives several seeds. `dropped`: what was left
    out of the record.
    """

    instruction: str
    response: str
    domain: str | None = None
    id: str | None = None
    part: str = ""
    dropped: Dropped = Dropped()
    keywords: tuple[str, ...] = ()
    summary: str = ""


def present(value: Any) -> bool:
    """Return False if `value` counts as missing, else True. Null, NaN, blank texts, the texts in the constant MISSING
    (e.g. "none") and empty collections count as missing."""
    if value is None or (isinstance(value, float) and value != value):
        return False
    if isinstance(value, str):
        return value.strip().lower() not in MISSING
    return not isinstance(value, list | dict | tuple) or bool(value)


def text(record: Any, column: str, required: bool = True) -> str:
    """Return the text in the column `column`, without surrounding blanks. An empty text is returned as "" if `required`
    is False. Raises BadRecord if the column is missing, if a required text is empty, or if the value is not a usable
    text."""
    if column not in mapping(record):
        raise missing_column(record, column)
    value = stripped(record[column], f"`{column}`")
    if required and not value:
        raise BadRecord(f"`{column}` is empty")
    check_text(value, column)
    return value


def input_text(record: Any, column: str | None) -> str:
    """Return the text in an optional input column. Return "" if there is no input, because the column is missing or
    empty, or because its text says so (e.g. "no input")."""
    if column is None or column not in mapping(record) or not present(record[column]):
        return ""
    value = text(record, column, required=False)
    return "" if value.strip("<>. ").lower() in _NO_INPUT else value


def stripped(value: Any, what: str) -> str:
    """Return the text `value` without surrounding blanks; "" if it is missing. Raises BadRecord if it is not a text.
    `what`: the name of the value in the error's message."""
    if not present(value) and not isinstance(value, list | dict | tuple):
        return ""
    if isinstance(value, list) and len(value) == 1:  # a column for several answers that holds one
        value = value[0]
    if isinstance(value, bytes):  # parquet written without marking bytes as text
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            raise BadRecord(f"{what} is not UTF-8 (byte {error.start + 1})") from error
    if not isinstance(value, str):
        raise BadRecord(f"{what} is {kind_of(value)}, not a text")
    return value.strip()


def check_text(value: str, column: str) -> None:
    """Raise BadRecord for a text that is too long, contains NUL, or cannot be encoded."""
    if len(value) > MAX_CHARS:
        raise BadRecord(f"`{column}` is {len(value):,} characters long (at most {MAX_CHARS:,})")
    if "\0" in value:
        raise BadRecord(f"`{column}` contains a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadRecord(f"`{column}` contains half of a surrogate pair (character {error.start + 1})") from error


def join(instruction: str, given: str) -> str:
    """Return an instruction and its input `given`, with an empty line between them."""
    return f"{instruction}\n\n{given}" if given else instruction


def mapping(record: Any) -> Mapping[str, Any]:
    if not isinstance(record, dict):
        raise BadRecord(f"the record is {kind_of(record)}, not an object")
    return record


def columns_of(record: Any) -> str:
    """Return the record's columns as text for a message."""
    if not isinstance(record, dict):
        return f"the record is {kind_of(record)}"
    names = ", ".join(repr(str(key))[1:-1][:40] for key in list(record)[:20])
    return f"columns here: {names or 'none'}{', ...' if len(record) > 20 else ''}"


def missing_column(record: Any, column: str) -> BadRecord:
    return ColumnFault(f"no column `{column}` ({columns_of(record)})")


def kind_of(value: Any) -> str:
    names = {"dict": "an object", "list": "a list", "str": "a text", "NoneType": "null", "bool": "true/false"}
    return names.get(type(value).__name__, "a number" if isinstance(value, int | float) else type(value).__name__)
