"""Texts of raw records: what counts as missing, what a text may hold, and how a message names values and columns. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_CHARS = 100_000  # of one instruction or response
# pandas, CSV writers and str() leave these where there was no value. Not one of Alpaca's 52,002 instructions or outputs is one.
MISSING = frozenset({"", "nan", "none", "null", "<na>"})
_NO_INPUT = MISSING | {"noinput", "no input", "n/a", "not applicable"}  # Alpaca's ways of saying that there is no input


class BadRecord(ValueError):
    """Why a record is not a seed; caught where its place is known."""


class ColumnFault(BadRecord):
    """A record without the column looked for, or with columns that do not tell: a column map may help."""


@dataclass(frozen=True)
class Dropped:
    """What of a record is not part of the seed: a system prompt; turns before the question or after the answer; `marks`: a model's
    reasoning, or tokens and names of its template."""

    system: bool = False
    turns: int = 0
    marks: bool = False


@dataclass(frozen=True)
class Fields:
    """A seed's content. `part` tells apart several seeds of one record."""

    instruction: str
    response: str
    domain: str | None = None
    id: str | None = None
    part: str = ""
    dropped: Dropped = Dropped()


def present(value: Any) -> bool:
    """Whether this is a value at all: not null, NaN (in any spelling), blank or empty."""
    if value is None or (isinstance(value, float) and value != value):
        return False
    if isinstance(value, str):
        return value.strip().lower() not in MISSING
    return not isinstance(value, list | dict | tuple) or bool(value)


def text(record: Any, column: str, required: bool = True) -> str:
    """The stripped text in `column`; "" where it is missing and not `required`. Raises BadRecord."""
    if column not in mapping(record):
        raise missing_column(record, column)
    value = stripped(record[column], f"`{column}`")
    if required and not value:
        raise BadRecord(f"`{column}` is empty")
    check_text(value, column)
    return value


def input_text(record: Any, column: str | None) -> str:
    """The text in an optional column that goes with the instruction; "" where there is none or it says so."""
    if column is None or column not in mapping(record):
        return ""
    value = text(record, column, required=False)
    return "" if value.strip("<>. ").lower() in _NO_INPUT else value


def stripped(value: Any, what: str) -> str:
    """`value` without blanks around it; "" where it is missing. Raises BadRecord where it is no text."""
    if not present(value) and not isinstance(value, list | dict | tuple):
        return ""
    if isinstance(value, bytes):  # parquet of writers that do not say which bytes are text
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            raise BadRecord(f"{what} is not UTF-8 (byte {error.start + 1})") from error
    if not isinstance(value, str):
        raise BadRecord(f"{what} is {kind_of(value)}, not a text")
    return value.strip()


def check_text(value: str, column: str) -> None:
    """Raise BadRecord for a text that no model should get or no file can hold."""
    if len(value) > MAX_CHARS:
        raise BadRecord(f"`{column}` is {len(value):,} characters long (at most {MAX_CHARS:,})")
    if "\0" in value:
        raise BadRecord(f"`{column}` holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadRecord(f"`{column}` holds half of a surrogate pair (character {error.start + 1})") from error


def join(instruction: str, given: str) -> str:
    """An instruction and its input, with an empty line between them."""
    return f"{instruction}\n\n{given}" if given else instruction


def mapping(record: Any) -> Mapping[str, Any]:
    if not isinstance(record, dict):
        raise BadRecord(f"the record is {kind_of(record)}, not an object")
    return record


def columns_of(record: Any) -> str:
    """What a message says of the columns there are."""
    if not isinstance(record, dict):
        return f"the record is {kind_of(record)}"
    names = ", ".join(repr(str(key))[1:-1][:40] for key in list(record)[:20])
    return f"columns here: {names or 'none'}{', ...' if len(record) > 20 else ''}"


def missing_column(record: Any, column: str) -> BadRecord:
    return ColumnFault(f"no column `{column}` ({columns_of(record)})")


def kind_of(value: Any) -> str:
    names = {"dict": "an object", "list": "a list", "str": "a text", "NoneType": "null", "bool": "true/false"}
    return names.get(type(value).__name__, "a number" if isinstance(value, int | float) else type(value).__name__)
