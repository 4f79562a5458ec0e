"""Makes text safe for files and terminals. Models and seeds can contain lone surrogates, which UTF-8 cannot encode."""

from __future__ import annotations

import re
from typing import Any

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def well_formed(value: Any) -> Any:
    """Return `value` in a form that UTF-8 can encode. Surrogate pairs are joined, and lone surrogates are replaced by
    U+FFFD. `value`: text, or mappings and lists of text. Values of other types are returned unchanged."""
    if isinstance(value, str):
        whole = value.isascii() or _encodable(value)
        return value if whole else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {well_formed(key): well_formed(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [well_formed(entry) for entry in value]
    return value


def printable(text: str) -> str:
    """Return `text` with U+FFFD in place of each control character except line feeds and tabs. A model's text then
    cannot control a terminal."""
    return _CONTROL.sub("\ufffd", text)


def folded(text: str) -> str:
    """Return `text` in lower case with single blanks. Texts that differ only in case and white space become equal."""
    return " ".join(text.split()).casefold()


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
