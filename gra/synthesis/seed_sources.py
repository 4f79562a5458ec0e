"""Files and hub data sets -> raw records, each with its place; what cannot be read as a record is a fault with a place."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from gra.errors import SeedError
from gra.fileio import open_maybe_gzip

MAX_LINE = 8 << 20  # bytes of one jsonl record
MAX_DOCUMENT = 1 << 30  # bytes of a JSON document, unpacked: it is read whole
SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet", ".jsonl.gz", ".ndjson.gz", ".json.gz")
Container = Literal["jsonl", "json", "parquet"]


@dataclass(frozen=True)
class Raw:
    """One record as its source has it, or the `fault` that keeps it from being one."""

    place: str
    value: Any = None
    fault: str | None = None


def data_files(path: Path) -> list[Path]:
    """The file itself, or the data files in a folder (not deeper), by name. Raises SeedError where there is none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise SeedError(f"{path}: no such file or folder")
    files = sorted(p for p in path.iterdir() if p.is_file() and p.name.lower().endswith(SUFFIXES) and not p.name.startswith("."))
    if not files:
        raise SeedError(f"{path}: the folder holds no data file ({', '.join(SUFFIXES)}); name a file in seeds.path")
    return files


def read_files(path: Path, container: Container | None) -> Iterator[Raw]:
    """All records of a file or folder in order; `container` None: told from the content. gzip or not, whatever the name.

    Raises SeedError for a file that cannot be read at all: damaged, or a JSON document with a syntax error.
    """
    files = data_files(path)
    for file in files:
        prefix = f"{file.name} " if len(files) > 1 else ""
        with _damage(file):
            readers: dict[Container, Callable[[Path], Iterator[Raw]]] = {
                "jsonl": _lines, "json": _document, "parquet": _parquet,
            }  # fmt: skip
            for raw in readers[container or sniff(file)](file):
                yield Raw(prefix + raw.place, raw.value, raw.fault)


def read_hub(name: str, config: str | None, split: str, revision: str | None) -> Iterator[Raw]:
    """All records of a hub data set through `datasets`. Raises SeedError where it cannot be had."""
    import datasets
    import httpx

    try:
        data = datasets.load_dataset(name, config, split=split, revision=revision)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError, httpx.HTTPError) as error:
        what = f"{name} (config {config or 'default'}, split {split}, revision {revision or 'main'})"
        raise SeedError(
            f"hub data set {what} cannot be loaded: {type(error).__name__}: {str(error)[:400]}\n"
            "Check the name, seeds.config, seeds.split and the network, or give a file: seeds.path=FILE"
        ) from error
    number = 0
    for batch in data.with_format("arrow").iter(batch_size=1000):
        for value in batch.to_pylist():
            number += 1
            yield Raw(f"row {number}", value)


def sniff(path: Path) -> Container:
    """parquet by its magic number; jsonl where the first line (of several) is a record by itself; else one JSON document."""
    with path.open("rb") as raw:
        if raw.read(4) == b"PAR1":
            return "parquet"
    if path.name.lower().removesuffix(".gz").endswith((".jsonl", ".ndjson")):
        return "jsonl"
    with open_maybe_gzip(path) as handle:
        lines = [line for line in _numbered(handle) if line[1] is None or line[1].strip()]
        first = next(iter(lines), None)
    return "json" if first is None else _sniff_lines([line for _, line in lines])


def _sniff_lines(lines: list[bytes | None]) -> Container:
    """From the first few lines that are not blank (None: too long to be one)."""
    if lines[0] is None:
        return "json"
    if _is_record(lines[0]):
        many = len(lines) > 1 or not lines[0].lstrip().startswith(b"[")
        return "jsonl" if many else "json"
    spoilt_first = lines[0].lstrip(b"\xef\xbb\xbf \t").startswith(b"{") and any(line and _is_record(line) for line in lines[1:])
    return "jsonl" if spoilt_first else "json"


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line.removeprefix(b"\xef\xbb\xbf")), dict | list)
    except (ValueError, RecursionError):
        return False


def _numbered(handle: IO[bytes], few: int = 3) -> Iterator[tuple[int, bytes | None]]:
    """The first `few` lines with their numbers; None for one that is longer than MAX_LINE."""
    for number in range(1, few + 1):
        line = handle.readline(MAX_LINE + 1)
        if not line:
            return
        yield number, None if len(line) > MAX_LINE else line


def _lines(path: Path) -> Iterator[Raw]:
    with open_maybe_gzip(path) as handle:
        number = 0
        while line := handle.readline(MAX_LINE + 1):
            number += 1
            place = f"line {number}"
            if len(line) > MAX_LINE:
                while line and not line.endswith(b"\n"):
                    line = handle.readline(MAX_LINE)
                yield Raw(place, fault=f"longer than {MAX_LINE:,} bytes")
                continue
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            try:
                yield Raw(place, json.loads(line.decode()))
            except UnicodeDecodeError as error:
                yield Raw(place, fault=f"not UTF-8 (byte {error.start + 1} of the line)")
            except json.JSONDecodeError as error:
                yield Raw(place, fault=f"not JSON: {error.msg} (column {error.colno})")
            except (ValueError, RecursionError) as error:  # numbers of thousands of digits, absurd nesting
                yield Raw(place, fault=f"not usable JSON: {str(error)[:100]}")


def _document(path: Path) -> Iterator[Raw]:
    with open_maybe_gzip(path) as handle:
        data = handle.read(MAX_DOCUMENT + 1)
    if len(data) > MAX_DOCUMENT:
        raise SeedError(f"{path}: a JSON document of more than {MAX_DOCUMENT:,} bytes; convert it to jsonl (one record a line)")
    try:
        value = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SeedError(f"{path}: not UTF-8 at line {line} (byte {error.start + 1}); convert it with iconv") from error
    except json.JSONDecodeError as error:
        raise SeedError(f"{path}: not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise SeedError(f"{path}: not usable JSON: {str(error)[:200]}") from error
    if isinstance(value, list):
        for number, record in enumerate(value, 1):
            yield Raw(f"record {number}", record)
    else:
        yield Raw("record 1", value)


def _parquet(path: Path) -> Iterator[Raw]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1000):
                for value in batch.to_pylist():
                    number += 1
                    yield Raw(f"row {number}", value)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise SeedError(f"{path}: not readable as parquet after row {number}: {str(error)[:200]}") from error


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SeedError(f"{path}: the gzip file is damaged ({error}); fetch it again") from error
    except OSError as error:
        raise SeedError(f"{path}: cannot be read: {error.strerror or error}") from error
