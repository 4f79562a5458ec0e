"""Text that any file can hold: models and seeds can contain halves of surrogate pairs, which UTF-8 has no bytes for."""

from __future__ import annotations

import re
from typing import Any

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def well_formed(value: Any) -> Any:
    """`value` (text, or mappings and lists of it) with lone surrogates as U+FFFD; pairs are joined. Other values stay."""
    if isinstance(value, str):
        whole = value.isascii() or _encodable(value)
        return value if whole else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {well_formed(key): well_formed(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [well_formed(entry) for entry in value]
    return value


def printable(text: str) -> str:
    """`text` without control characters other than line ends and tabs: what a model wrote must not steer a terminal."""
    return _CONTROL.sub("\ufffd", text)


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
