"""Reads the rows of a damaged SQLite file and of its write-ahead log page by page. journal.py uses it to save the calls
of a damaged journal.

SQLite finds the rows of a table through interior pages, so one damaged interior page can hide most rows. This module
does not use interior pages: it reads the leaf pages, which hold the rows (https://www.sqlite.org/fileformat.html,
sections 1.6 b-tree pages and 2.1 record format).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEAF = 13  # type of a table's leaf page
LIMIT = 64 << 20  # maximum bytes of one row: a damaged length must not exhaust the memory
PAGE = 4096  # bytes: SQLite's default, used if the file's header is damaged
_WAL_HEAD, _FRAME_HEAD = 32, 24
_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}  # magic number of a write-ahead log -> byte order of its checksums


def rows(path: Path, columns: int) -> Iterator[tuple[Any, ...]]:
    """Yield every row of a SQLite file that can still be read. First come the rows of the file at `path`. Then come the
    rows of its write-ahead log, in the order in which they were written.

    If several rows have the same key, the last of them is the newest. The caller must check each row, because rows of
    outdated pages are also yielded, and rows of other tables that have the same number of columns. The first value of
    each row is None. The reason is that the first column of the wanted table is the row id, and SQLite stores NULL in
    this column. `columns`: the number of columns of the wanted table. Raises OSError if the files cannot be read.
    """
    log = path.with_name(f"{path.name}-wal")
    frames = list(_frames(log))
    newest = {frame.page: frame.place for frame in frames}
    with path.open("rb") as handle, (log if frames else path).open("rb") as written:
        header = handle.read(100)
        size, reserved = _page_size(header)
        size = frames[0].size if frames else size
        usable = size - reserved
        pages = (path.stat().st_size + size - 1) // size

        def page(number: int) -> bytes:
            if number in newest:
                written.seek(newest[number])
                return written.read(size)
            handle.seek((number - 1) * size)
            return handle.read(size)

        for number in range(1, pages + 1):
            handle.seek((number - 1) * size)
            yield from _rows_of(handle.read(size), 100 if number == 1 else 0, size, usable, columns, page)
        for frame in frames:
            written.seek(frame.place)
            yield from _rows_of(written.read(size), 100 if frame.page == 1 else 0, size, usable, columns, page)


def log_damaged(path: Path) -> bool:
    """Return whether the write-ahead log at `path` is damaged. It is damaged if SQLite will ignore one of its
    commits, because the checksum of this commit or of an earlier page in the log is wrong.

    A log that ends in the middle of a commit, as after a kill, does not count as damaged. Source:
    https://www.sqlite.org/fileformat.html, section 4.2.
    """
    broken = False
    for frame in _frames(path):
        broken = broken or not frame.whole
        if broken and frame.commits:
            return True
    return False


@dataclass(frozen=True)
class _Frame:
    """One page in a write-ahead log. `page`: its number in the database. `place`: where its bytes begin in the log.
    `commits`: whether it is the last page of a commit. `whole`: whether its checksum, and that of every earlier frame,
    is right."""

    page: int
    place: int
    size: int
    commits: bool
    whole: bool


def _frames(path: Path) -> Iterator[_Frame]:
    """Yield the frames written under the log's current header, in order. Frames of an earlier use of the log follow them and are
    left out."""
    if not path.is_file() or path.stat().st_size <= _WAL_HEAD:
        return
    with path.open("rb") as handle:
        head = handle.read(_WAL_HEAD)
        magic, _, size, _ = struct.unpack(">4I", head[:16])
        if magic not in _MAGIC or size < 512 or size & (size - 1):
            magic, size = 0x377F0682, PAGE
        order = _MAGIC[magic]
        total = _check_sum((0, 0), head[:24], order)
        whole = total == struct.unpack(">2I", head[24:32])
        known = head[16:24] if whole else None  # the salts of the current header
        place = _WAL_HEAD
        while len(frame := handle.read(_FRAME_HEAD + size)) == _FRAME_HEAD + size:
            number, commit = struct.unpack(">2I", frame[:8])
            if known is None:
                known = frame[8:16]
            if whole := whole and frame[8:16] == known:
                total = _check_sum(_check_sum(total, frame[:8], order), frame[_FRAME_HEAD:], order)
                whole = total == struct.unpack(">2I", frame[16:24])
            if frame[8:16] == known:
                yield _Frame(number, place + _FRAME_HEAD, size, commit > 0, whole)
            place += len(frame)


def _check_sum(total: tuple[int, int], data: bytes, order: str) -> tuple[int, int]:
    one, two = total
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def _page_size(header: bytes) -> tuple[int, int]:
    """Return (bytes of a page, bytes reserved at its end) from the file's header, or SQLite's defaults if the header is damaged."""
    size = int.from_bytes(header[16:18], "big")
    size = 65536 if size == 1 else size
    if not header.startswith(b"SQLite format 3\0") or size < 512 or size & (size - 1):
        return PAGE, 0
    return size, header[20]


def _rows_of(data: bytes, start: int, size: int, usable: int, columns: int, page: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of one page with its header at `start`. Only leaf pages of tables have rows; other pages yield
    none."""
    if len(data) < size or data[start] != LEAF:
        return
    for cell in range(min(int.from_bytes(data[start + 3 : start + 5], "big"), size // 2)):
        place = int.from_bytes(data[start + 8 + 2 * cell : start + 10 + 2 * cell], "big")
        try:
            row = _record(_payload(data, place, usable, page))
        except (IndexError, ValueError, struct.error):
            continue
        if len(row) == columns:
            yield row


def _payload(data: bytes, place: int, usable: int, page: Any) -> bytes:
    """Return a cell's bytes: the part on its own page, then the chain of overflow pages."""
    length, place = _varint(data, place)
    _, place = _varint(data, place)  # the row id
    if length > LIMIT:
        raise ValueError(f"a row of {length:,} bytes is longer than the limit of {LIMIT:,}")
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
