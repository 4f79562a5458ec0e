"""Defines the journal's table: its columns, and how a damaged row is recognised."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from typing import Any

FIELDS = (
    "key",
    "sample",
    "step",
    "role",
    "attempt",
    "model",
    "request",
    "text",
    "tokens_in",
    "tokens_out",
    "finish",
    "error",
    "seconds",
    "at",
    "crc",
)
COLUMNS = """id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, sample TEXT NOT NULL, step TEXT NOT NULL, role TEXT NOT NULL,
    attempt INTEGER NOT NULL, model TEXT NOT NULL, request TEXT NOT NULL, text TEXT NOT NULL, tokens_in INTEGER,
    tokens_out INTEGER, finish TEXT NOT NULL, error TEXT, seconds REAL NOT NULL, at REAL NOT NULL, crc INTEGER NOT NULL"""
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS calls({COLUMNS});
CREATE INDEX IF NOT EXISTS calls_by_sample ON calls(sample);
"""
REPLY = ("text", "tokens_in", "tokens_out", "finish", "error")
FIND = f"SELECT {', '.join(REPLY)}, crc FROM calls WHERE key = ?"
INSERT = f"INSERT OR REPLACE INTO calls({', '.join(FIELDS)}) VALUES ({', '.join('?' * len(FIELDS))})"
_TEXTS = ("key", "sample", "step", "role", "model", "request", "text", "finish")


def crc(*reply: str | int | None) -> int:
    """Return the checksum of a reply. `reply`: the values of the columns `REPLY`, in the order of these columns."""
    return zlib.crc32(repr(reply).encode(errors="surrogatepass"))


def whole(row: Sequence[Any]) -> bool:
    """Return whether a row of the journal is undamaged. Its key must be the hash of its request, and the checksum of
    its reply must be right. `row`: the values of the columns `FIELDS`, in the order of these columns."""
    call = dict(zip(FIELDS, row, strict=True))
    if not all(isinstance(call[name], str) for name in _TEXTS):
        return False
    reply_holds = crc(*(call[name] for name in REPLY)) == call["crc"]
    return reply_holds and hashlib.sha256(call["request"].encode()).hexdigest() == call["key"]
