"""Files and folders -> raw records, each with its place; what cannot be read as a record is a fault with a place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gra.synthesis import seed_csv, seed_json
from gra.synthesis.seed_containers import Opened, Raw, again, bare_name, opened
from gra.synthesis.seed_folders import select
from gra.synthesis.seed_tables import is_table, read_saved, read_table
from gra.synthesis.seed_wrappers import Unwrapper

Container = Literal["jsonl", "json", "csv", "parquet"]
_SAMPLE_LINES, _SAMPLE_BYTES = 50, 16 << 20  # what is looked at to tell lines from a document


@dataclass(frozen=True)
class Source:
    """`path` and how to read it. `container` None: told from the content, whatever the name. `split`, `config`: what to take
    where there are several. `is_record`: whether a mapping is one seed record; `tell`: takes what the user should know."""

    path: Path
    container: Container | None
    split: str
    config: str | None
    is_record: Callable[[Any], bool]
    tell: Callable[[str], None]


def read_files(source: Source) -> Iterator[Raw]:
    """All records of a file or folder in order.

    Raises SeedError for what cannot be read at all: damaged, an archive, a document with a syntax error, no data file.
    """
    selection = select(source.path, source.split, source.config, source.tell)
    if selection.saved is not None:
        yield from read_saved(selection.saved, source.split, source.tell)
        return
    for file in selection.files:
        prefix = f"{file.name} " if len(selection.files) > 1 else ""
        for raw in _read_file(file, source):
            yield Raw(prefix + raw.place, raw.value, raw.fault) if prefix else raw


def _read_file(path: Path, source: Source) -> Iterator[Raw]:
    with opened(path) as content:
        if source.container == "parquet" or (source.container is None and is_table(content.head)):
            yield from read_table(path, content)
            return
        sample = _sample(content)
        handle = again(b"".join(sample), content.handle)
        container = source.container or sniff(path, sample, source.is_record)
        if container == "csv":
            yield from seed_csv.rows(handle, path, source.is_record, content.encoding)
            return
        unwrapper = Unwrapper(source.is_record, source.split, source.tell)
        lines = container == "jsonl"
        for raw in seed_json.lines(handle, content.encoding) if lines else seed_json.documents(handle, path, content.encoding):
            yield from unwrapper.records(raw)


def sniff(path: Path, sample: list[bytes], is_record: Callable[[Any], bool]) -> Container:
    """What the first lines of a text file say that it is; its name decides where they leave it open."""
    filled = [line for line in sample if line.strip()]
    name = bare_name(path)
    table = name.endswith((".csv", ".tsv", ".tab"))
    opening = filled[0].lstrip(b" \t\x1e")[:1] if filled else b""
    if table and not (opening in (b"{", b"[") and (len(filled) > 1 or seed_json.is_json(filled[0]))):
        return "csv"
    if opening not in (b"{", b"[") and seed_csv.looks_like_rows(b"".join(sample[:30]), is_record):
        return "csv"
    return "jsonl" if seed_json.has_lines(filled, name.endswith((".jsonl", ".ndjson", ".jsonlines"))) else "json"


def _sample(content: Opened) -> list[bytes]:
    """The file's first lines as they are, each cut at MAX_LINE + 1 bytes."""
    found: list[bytes] = []
    size = 0
    while len(found) < _SAMPLE_LINES and size < _SAMPLE_BYTES and (line := content.handle.readline(seed_json.MAX_LINE + 1)):
        found.append(line)
        size += len(line)
    return found
