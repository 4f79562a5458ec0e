"""Writes seeds or data that a caller gives as Python objects to a file beside the output, so that a run can be
resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gra.errors import ConfigError, Problem
from gra.fileio import write_bytes, write_text
from gra.labels import PARTIAL
from gra.paths import expanded

Records = str | os.PathLike[str] | Iterable[Any]  # a record must be a mapping; an error names the position of any other


@contextmanager
def file_of(records: Records, kind: str, output: str | Path) -> Iterator[str]:
    """Yield the path of a file that holds the `records`.

    If `records` is a path, yield this path. Otherwise write the records to the file OUTPUT.seeds.jsonl or
    OUTPUT.data.jsonl. If the `with` block raises ConfigError before it has begun a run, the file gets its previous
    content back. If the file did not exist before, it is removed, with the folders that were created for it.

    `kind`: "seeds" or "data".

    Raises ConfigError if a record is not a mapping or cannot be written as JSON.
    """
    if isinstance(records, str | os.PathLike):  # a Data object is the path of its folder
        yield os.fspath(records)
        return
    if not hasattr(records, "__iter__"):
        told = f"a value of the type {type(records).__name__} was given"
        raise ConfigError([Problem(kind, told, "give a path, hf:NAME, a data set, or a list of mappings")])
    text = _lines(records, kind)
    folder = expanded(output)
    path, partial = folder.with_name(f"{folder.name}.{kind}.jsonl"), folder.with_name(folder.name + PARTIAL)
    before = path.read_bytes() if path.is_file() else None
    begun = partial.exists()
    made = [parent for parent in path.parents if not parent.exists()]
    write_text(path, text)
    try:
        yield str(path)
    except ConfigError:
        if begun or not partial.exists():  # else this call began a run, which needs its records
            _put_back(path, before, made)
        raise


def _put_back(path: Path, before: bytes | None, made: list[Path]) -> None:
    """Restore the content `before` of `path`. If `before` is None, the file did not exist: remove it, and those of the
    folders `made` for it that are empty."""
    if before is not None:
        write_bytes(path, before)
        return
    path.unlink(missing_ok=True)
    with suppress(OSError):  # not empty: something else is there by now
        for parent in made:
            parent.rmdir()


def _lines(records: Iterable[Any], kind: str) -> str:
    lines = []
    for place, record in enumerate(records):
        if not isinstance(record, Mapping):
            told = f"record {place} is a {type(record).__name__}"
            raise ConfigError([Problem(kind, told, 'give mappings, e.g. {"instruction": ..., "response": ...}')])
        try:
            lines.append(json.dumps(dict(record), ensure_ascii=False, sort_keys=True))
        except (TypeError, ValueError) as error:
            raise ConfigError(
                [Problem(kind, f"record {place} is not JSON: {error}", "give texts, numbers and lists")]
            ) from error
    return "".join(f"{line}\n" for line in lines)
