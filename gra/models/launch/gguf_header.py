"""Reads a GGUF file's metadata without its tensors (https://github.com/ggml-org/ggml, docs/gguf.md)."""

from __future__ import annotations

import struct
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

MAGIC = b"GGUF"
_FORMS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_LONGEST = 1 << 24  # bytes of a key or text


def metadata(path: Path, wanted: Collection[str]) -> dict[str, Any]:
    """Read a GGUF file and return the values of the metadata keys in `wanted`, by key. A key is left out if the file
    does not have it or if its value is a list. Raises OSError, and ValueError if the file is not a readable GGUF
    file."""
    found: dict[str, Any] = {}
    with path.open("rb") as handle:
        if handle.read(4) != MAGIC:
            raise ValueError(f"{path} is not a GGUF file")
        try:
            version, _, keys = struct.unpack("<IQQ", handle.read(20))
            if version < 2:
                raise ValueError(f"{path}: GGUF version {version} is not supported")
            for _ in range(keys):
                key = _text(handle)
                value = _value(handle, *struct.unpack("<I", handle.read(4)))
                if key in wanted and value is not None:
                    found[key] = value
        except (struct.error, KeyError, OverflowError) as error:
            raise ValueError(f"{path}: its metadata cannot be read ({error})") from error
    return found


def _value(handle: IO[bytes], kind: int) -> Any:
    if kind == _STRING:
        return _text(handle)
    if kind == _ARRAY:
        inner, count = struct.unpack("<IQ", handle.read(12))
        if inner == _STRING:
            for _ in range(count):
                (length,) = struct.unpack("<Q", handle.read(8))
                handle.seek(length, 1)
        else:
            handle.seek(struct.calcsize(_FORMS[inner]) * count, 1)
        return None
    form = _FORMS[kind]
    return struct.unpack(form, handle.read(struct.calcsize(form)))[0]


def _text(handle: IO[bytes]) -> str:
    (length,) = struct.unpack("<Q", handle.read(8))
    if length > _LONGEST:
        raise ValueError(f"a text of {length:,} bytes in the metadata")
    return handle.read(length).decode("utf-8", "replace")
