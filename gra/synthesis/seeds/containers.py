"""Opens seed files as UTF-8, regardless of their compression and encoding. Archives and other files that hold no data
are refused; the error names the kind of file.

Compression and encoding are recognised by the content, not by the file's name: gzip, bzip2, xz, zstd and lz4 by their
magic numbers; UTF-8, UTF-16 and UTF-32 by their byte order mark or the positions of zero bytes. pyarrow unpacks zstd
and lz4; Python's standard library unpacks gzip, bzip2 and xz.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from gra.errors import SeedError

HEAD = 1024  # bytes: enough to recognise what a file is
_CHUNK = 1 << 16
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}
_REFUSED = {
    b"PK\x03\x04": "a zip archive (or a spreadsheet)\n    -> unpack it, or save the sheet as CSV",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive\n    -> unpack it",
    b"Rar!": "a rar archive\n    -> unpack it",
    b"SQLite format 3\0": "an SQLite database: export the table as CSV or jsonl",
    b"\x89HDF": "an HDF5 file: export it as parquet or jsonl",
    b"version https://git-lfs": "a Git LFS pointer, not the data itself: run `git lfs pull` in its repository",
    b"<!doctype html": "a web page, not data: fetch the raw file",
    b"<html": "a web page, not data: fetch the raw file",
}
_ENDINGS = (".gz", ".gzip", ".bz2", ".xz", ".zst", ".zstd", ".lz4")
ARCHIVES = (".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".zip", ".7z", ".rar")
_INVALID = "gra.invalid-bytes"  # the name of the decoding error handler below
codecs.register_error(_INVALID, lambda error: ("\udcff", cast(UnicodeDecodeError, error).end))


@dataclass(frozen=True)
class Raw:
    """One raw record from a file or a hub data set.

    `place`: where the record stands in its source, e.g. "line 7". `fault`: why the record cannot be read; None if it
    can be read.
    """

    place: str
    value: Any = None
    fault: str | None = None


@dataclass(frozen=True)
class Opened:
    """The unpacked content of a file.

    `handle`: a stream of the content in UTF-8, without a byte order mark. If the content was converted to UTF-8, bytes
    that are invalid in the file's encoding become 0xff, which never occurs in UTF-8. `head`: the first bytes of the
    unpacked content, not converted to UTF-8. `encoding`: the encoding in which the file was written.
    """

    handle: IO[bytes]
    head: bytes
    encoding: str


def bare_name(path: Path) -> str:
    """Return the file's name in lower case, without endings such as .gz that mark compression."""
    name = path.name.lower()
    while name.endswith(_ENDINGS):
        name = name.rpartition(".")[0]
    return name


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open the file `path` and yield its unpacked content. The file is closed when the context ends. Text is converted
    to UTF-8; parquet and Arrow files are not converted.

    Raises SeedError if the file is damaged, cannot be read, or is of a kind that holds no data, such as an archive or a
    web page.
    """
    with damage(path), path.open("rb") as file:
        head, handle = _peeked(file)
        for _ in range(3):  # a server may compress a compressed file again; more layers are an attack
            kind = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)
            if kind is None or (kind == "bzip2" and head[4:10] not in (b"1AY&SY", b"\x17rE8P\x90")):
                break
            head, handle = _peeked(_unpacked(handle, kind))
        _refuse(path, head)
        encoding = json.detect_encoding(head[:4])
        if encoding != "utf-8":
            handle = io.BufferedReader(cast(io.RawIOBase, _Recoded(handle, encoding)), _CHUNK)
        yield Opened(cast(IO[bytes], handle), head, encoding.removesuffix("-sig").upper())


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """While the context lasts, turn errors in reading or unpacking the file `path` into SeedErrors that name the
    file."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise SeedError(f"{path}: the compressed file is damaged ({error})\n    -> fetch it again") from error
    except OSError as error:
        if error.errno is None:  # bz2 and pyarrow have no exception of their own
            raise SeedError(f"{path}: the compressed file is damaged ({error})\n    -> fetch it again") from error
        raise SeedError(f"{path}: cannot be read: {error.strerror or error}") from error


def again(head: bytes, handle: IO[bytes]) -> IO[bytes]:
    """Return a stream that begins with `head`, the bytes already read from `handle`, and continues with the rest of
    `handle`."""
    return io.BufferedReader(cast(io.RawIOBase, _Prefixed(head, handle)), _CHUNK)


def _peeked(stream: Any) -> tuple[bytes, io.BufferedReader]:
    """Return the stream's first HEAD bytes, and a stream that still begins with them."""
    head = b""
    while len(head) < HEAD and (more := stream.read(HEAD - len(head))):
        head += more
    return head, io.BufferedReader(cast(io.RawIOBase, _Prefixed(head, stream)), _CHUNK)


def _unpacked(stream: io.BufferedReader, kind: str) -> Any:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=stream, mode="rb")
    if kind == "bzip2":
        return bz2.BZ2File(stream)
    if kind == "xz":
        return lzma.LZMAFile(stream)
    import pyarrow as pa

    return pa.CompressedInputStream(stream, kind)


def _refuse(path: Path, head: bytes) -> None:
    """Raise SeedError if the first bytes are those of a kind of file that holds no data."""
    what = next((text for magic, text in _REFUSED.items() if head.lstrip().lower().startswith(magic.lower())), None)
    if head[257:262] == b"ustar":
        what = "a tar archive\n    -> unpack it, and give the folder or one of its files as seeds.path"
    if what is not None:
        raise SeedError(f"{path}: {what}")


class _Prefixed(io.RawIOBase):
    """A stream of `head`, then the rest of `stream`."""

    def __init__(self, head: bytes, stream: Any):
        self._head, self._stream = head, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._head:
            data = self._stream.read(len(buffer))
        else:
            data, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


class _Recoded(io.RawIOBase):
    """A stream that recodes `stream` from `encoding` to UTF-8, without a byte order mark; bytes that cannot be decoded become
    0xff."""

    def __init__(self, stream: io.BufferedReader, encoding: str):
        self._stream, self._left, self._first, self._ended = stream, b"", True, False
        self._decoder = codecs.getincrementaldecoder(encoding)(_INVALID)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left and not self._ended:
            chunk = self._stream.read(_CHUNK)
            self._ended = not chunk
            text = self._decoder.decode(chunk, final=self._ended)
            if self._first and text:
                text, self._first = text.removeprefix("\ufeff"), False
            self._left = text.encode("utf-8", "surrogateescape")
        data, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)
