"""Reads files and folders into raw records with their places. A record that cannot be read is yielded as a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gra.synthesis.seeds import csv_files, json_files
from gra.synthesis.seeds.arrow_files import is_table, read_saved, read_table
from gra.synthesis.seeds.containers import Opened, Raw, again, bare_name, opened
from gra.synthesis.seeds.folders import select
from gra.synthesis.seeds.wrappers import Unwrapper

Container = Literal["jsonl", "json", "csv", "parquet"]
_SAMPLE_LINES, _SAMPLE_BYTES = 50, 16 << 20  # limits of the sample that tells jsonl from one JSON document


@dataclass(frozen=True)
class Source:
    """A file or folder of seeds, and how to read it.

    `container`: the kind of file. If it is None, the content decides. `split`, `config`: the split and the
    configuration to read if the data set has several. `is_record`: a function that returns whether a mapping is one
    seed record. `add_note`: a function that receives messages for the user.
    """

    path: Path
    container: Container | None
    split: str
    config: str | None
    is_record: Callable[[Any], bool]
    add_note: Callable[[str], None]


def read_files(source: Source) -> Iterator[Raw]:
    """Yield all records of a file or folder, in order.

    Raises SeedError if the source cannot be read. Examples are a damaged file, an archive, a document with a syntax
    error, and a folder without data files.
    """
    selection = select(source.path, source.split, source.config, source.add_note)
    if selection.saved is not None:
        yield from read_saved(selection.saved, source.split, source.add_note)
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
            yield from csv_files.rows(handle, path, source.is_record, content.encoding)
            return
        unwrapper = Unwrapper(source.is_record, source.split, source.add_note)
        lines = container == "jsonl"
        for raw in (
            json_files.lines(handle, content.encoding)
            if lines
            else json_files.documents(handle, path, content.encoding)
        ):
            yield from unwrapper.records(raw)


def sniff(path: Path, sample: list[bytes], is_record: Callable[[Any], bool]) -> Container:
    """Return the kind of a text file, which is jsonl, json or csv. The file's first lines, `sample`, decide. If they
    fit several kinds, the file's name decides."""
    filled = [line for line in sample if line.strip()]
    name = bare_name(path)
    table = name.endswith((".csv", ".tsv", ".tab"))
    opening = filled[0].lstrip(b" \t\x1e")[:1] if filled else b""
    if table and not (opening in (b"{", b"[") and (len(filled) > 1 or json_files.is_json(filled[0]))):
        return "csv"
    if opening not in (b"{", b"[") and csv_files.looks_like_rows(b"".join(sample[:30]), is_record):
        return "csv"
    return "jsonl" if json_files.has_lines(filled, name.endswith((".jsonl", ".ndjson", ".jsonlines"))) else "json"


def _sample(content: Opened) -> list[bytes]:
    """Return the file's first lines, each cut at MAX_LINE + 1 bytes."""
    found: list[bytes] = []
    size = 0
    while (
        len(found) < _SAMPLE_LINES
        and size < _SAMPLE_BYTES
        and (line := content.handle.readline(json_files.MAX_LINE + 1))
    ):
        found.append(line)
        size += len(line)
    return found
