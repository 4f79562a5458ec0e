"""Rows of a damaged SQLite file, read page by page without its index: what journal.py falls back on.

SQLite itself stops at the first damaged inner page, which may hang most of the table. The leaf pages hold whole rows and can be
read by themselves (https://www.sqlite.org/fileformat.html, sections 1.6 b-tree pages and 2.1 record format).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LEAF = 13  # type of a table's leaf page
LIMIT = 64 << 20  # bytes of one row at most: a damaged length must not take the memory


def rows(path: Path, columns: int) -> Iterator[tuple[Any, ...]]:
    """Every row of `columns` columns that a leaf page still holds whole, in the order of pages. The row id's own column reads
    None, as it is stored. Rows of other tables with as many columns are among them: the caller checks. Raises OSError."""
    with path.open("rb") as handle:
        header = handle.read(100)
        if not header.startswith(b"SQLite format 3\0"):
            return
        size = int.from_bytes(header[16:18], "big")
        size = 65536 if size == 1 else size
        if size < 512 or size & (size - 1):
            return
        usable = size - header[20]
        pages = (path.stat().st_size + size - 1) // size

        def page(number: int) -> bytes:
            handle.seek((number - 1) * size)
            return handle.read(size)

        for number in range(1, pages + 1):
            data = page(number)
            start = 100 if number == 1 else 0
            if len(data) < size or data[start] != LEAF:
                continue
            cells = int.from_bytes(data[start + 3 : start + 5], "big")
            for cell in range(cells):
                place = int.from_bytes(data[start + 8 + 2 * cell : start + 10 + 2 * cell], "big")
                try:
                    row = _record(_payload(data, place, usable, page))
                except (IndexError, ValueError, struct.error):
                    continue
                if len(row) == columns:
                    yield row


def _payload(data: bytes, place: int, usable: int, page: Any) -> bytes:
    """A cell's bytes: the part on its page, and the rest from the chain of overflow pages."""
    length, place = _varint(data, place)
    _, place = _varint(data, place)  # the row id
    if length > LIMIT:
        raise ValueError("a length that no row has")
    most, least = usable - 35, (usable - 12) * 32 // 255 - 23
    here = length
    if length > most:
        here = least + (length - least) % (usable - 4)
        here = here if here <= most else least
    parts, got = [data[place : place + here]], here
    following = int.from_bytes(data[place + here : place + here + 4], "big") if here < length else 0
    while got < length:
        overflow = page(following) if following else b""
        if len(overflow) < 5:
            raise ValueError("the chain of overflow pages is cut")
        following = int.from_bytes(overflow[:4], "big")
        parts.append(overflow[4 : min(usable, 4 + length - got)])
        got += len(parts[-1])
    return b"".join(parts)


def _record(payload: bytes) -> tuple[Any, ...]:
    head, place = _varint(payload, 0)
    kinds = []
    while place < head:
        kind, place = _varint(payload, place)
        kinds.append(kind)
    values: list[Any] = []
    for kind in kinds:
        if kind in (0, 8, 9):
            values.append({0: None, 8: 0, 9: 1}[kind])
            continue
        length = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8}.get(kind, (kind - 12) // 2)
        raw = payload[place : place + length]
        if len(raw) < length or kind in (10, 11):
            raise ValueError("a record that is cut short")
        place += length
        if kind == 7:
            values.append(struct.unpack(">d", raw)[0])
        elif kind < 7:
            values.append(int.from_bytes(raw, "big", signed=True))
        else:
            values.append(raw if kind % 2 == 0 else raw.decode())
    return tuple(values)


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for i in range(9):
        byte = data[place + i]
        if i == 8:
            return (value << 8) | byte, place + 9
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            return value, place + i + 1
    raise ValueError("unreachable")
