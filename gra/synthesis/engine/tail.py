"""Keeps replies that are not yet in the journal's database in two files, so that a killed process loses none of them.

The two files lie next to the journal and are used in turn. A reply is written to the current file, without fsync,
before its sample uses it. It then survives a kill of the process, but not a power loss. To commit, the journal switches
to the other file, writes all replies of the first file to the database in one transaction, with an fsync, and then
empties the first file. So a file never holds replies of more than one transaction.

In the file, each reply is a record of four parts: two checksums (one of the head, one of the short texts); the head
(numbers, and the lengths of the texts); the short texts; the long texts. The texts are in UTF-8. The long texts need no
checksum in the record: the row's key is the SHA-256 of the request, and the row has a checksum of the reply.
"""

from __future__ import annotations

import errno
import logging
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path

from gra.synthesis.engine.journal_rows import whole

log = logging.getLogger(__name__)

# The columns of the journal's table, in their order.
TailRow = tuple[
    str, str, str, str, int, str, str, str, int | None, int | None, str, str | None, float, float, int
]  # key, sample, step, role, attempt, model, request, text, tokens_in, tokens_out, finish, error, seconds, at, crc
_SUMS = struct.Struct("<II")  # checksums of the head and of the short texts
_HEAD = struct.Struct("<qqqddI9I")  # attempt, tokens_in, tokens_out, seconds, at, crc, bytes of the nine texts
_SIZE = _SUMS.size + _HEAD.size
_SHORT = 5  # the first texts are short: key, sample, step, role, model
_NO_NUMBER, _NO_TEXT = -(2**63), 0xFFFFFFFF  # these values stand for None
_LIMIT = 64 << 20  # maximum bytes of one record: a damaged length must not exhaust the memory
_write: Callable[[int, bytes], int] = os.write


class Tail:
    """The two tail files of the journal at `path`, open for writing. They hold the replies that are not yet in the
    journal's database. When they are opened, they are emptied. Only one writer may have them open. Raises OSError if
    they cannot be opened."""

    def __init__(self, path: Path):
        self._paths = paths(path)
        self._files = [os.open(p, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666) for p in self._paths]
        self._now, self._size = 0, 0

    def append(self, row: TailRow, request: bytes) -> None:
        """Write one row to the current file, without fsync. `request`: the row's request in UTF-8. Raises OSError if
        the file cannot be written (disk full), and ValueError if a value cannot be stored."""
        data = encode(row, request)
        if _write(self._files[self._now], data) != len(data):  # a partial write means a full disk
            os.ftruncate(self._files[self._now], self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += len(data)

    def turn(self) -> None:
        """Switch to the other file, which must be empty."""
        self._now, self._size = 1 - self._now, 0

    def forget(self) -> None:
        """Empty the file that is not the current one. Call it only when all rows of that file are in the database."""
        os.ftruncate(self._files[1 - self._now], 0)

    def close(self, *, remove: bool) -> None:
        """Close both files. If `remove` is true, delete them too. All their rows must then be in the database."""
        for file, path in zip(self._files, self._paths, strict=True):
            os.close(file)
            if remove:
                path.unlink(missing_ok=True)


def paths(path: Path) -> list[Path]:
    """Return the paths of the two tail files of the journal at `path`. The files need not exist."""
    return [path.with_name(f"{path.name}-tail{number}") for number in (0, 1)]


def encode(row: TailRow, request: bytes) -> bytes:
    """Return one row as bytes. Raises ValueError if a number is out of range or a text cannot be encoded."""
    key, sample, step, role, attempt, model, _, text, tokens_in, tokens_out, finish, error, seconds, at, crc = row
    names = sample.encode(), step.encode(), role.encode(), model.encode()
    reply, ending, fault = text.encode(), finish.encode(), b"" if error is None else error.encode()
    try:
        head = _HEAD.pack(
            attempt,
            _NO_NUMBER if tokens_in is None else tokens_in,
            _NO_NUMBER if tokens_out is None else tokens_out,
            seconds,
            at,
            crc,
            len(key),
            *map(len, names),
            len(request),
            len(reply),
            len(ending),
            _NO_TEXT if error is None else len(fault),
        )
    except struct.error as wrong:
        raise ValueError(f"a number out of range: {wrong}") from wrong
    short = b"".join((key.encode(), *names))
    return b"".join((_SUMS.pack(zlib.crc32(head), zlib.crc32(short)), head, short, request, reply, ending, fault))


def read(path: Path) -> list[TailRow]:
    """Return the rows that a run left in the tail files of the journal at `path`, oldest first. An incomplete record at
    the end of a file is dropped silently. If a record is damaged, it and the rest of its file are dropped with a
    warning. Raises OSError if a file cannot be read."""
    rows: list[TailRow] = []
    for part in paths(path):
        try:
            rows += _rows(part)
        except FileNotFoundError:
            continue
    return sorted(rows, key=lambda row: row[13])


def _rows(path: Path) -> Iterator[TailRow]:
    with path.open("rb") as file:
        while len(start := file.read(_SIZE)) == _SIZE:
            (of_head, of_short), head = _SUMS.unpack(start[: _SUMS.size]), start[_SUMS.size :]
            attempt, tokens_in, tokens_out, seconds, at, crc, *sizes = _HEAD.unpack(head)
            lengths = [0 if size == _NO_TEXT else size for size in sizes]
            if zlib.crc32(head) != of_head or sum(lengths) > _LIMIT:
                break
            body = file.read(sum(lengths))
            if len(body) < sum(lengths):
                return
            if zlib.crc32(body[: sum(lengths[:_SHORT])]) != of_short:
                break
            ends = list(accumulate(lengths))
            texts = [
                body[end - length : end].decode(errors="replace") for end, length in zip(ends, lengths, strict=True)
            ]
            key, sample, step, role, model, request, text, finish, error = texts
            row = (
                key,
                sample,
                step,
                role,
                attempt,
                model,
                request,
                text,
                None if tokens_in == _NO_NUMBER else tokens_in,
                None if tokens_out == _NO_NUMBER else tokens_out,
                finish,
                None if sizes[-1] == _NO_TEXT else error,
                seconds,
                at,
                crc,
            )
            if not whole(row):
                break
            yield row
        else:
            return
    log.warning("%s is damaged: some of the last calls before the run ended are sent again", path)
