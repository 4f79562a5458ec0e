"""Reads tables with pyarrow and `datasets` into records: parquet and Arrow files, save_to_disk folders, hub data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from gra.errors import SeedError
from gra.synthesis.seeds.containers import Opened, Raw
from gra.synthesis.seeds.splits import choose_split
from gra.synthesis.seeds.text import BadRecord

MAGIC = (b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")  # parquet; Arrow files; Arrow streams (save_to_disk writes these)
_BATCH = 1000
_MAX_PACKED = 1 << 30  # maximum bytes of a table in a compressed file, which is unpacked in memory


def is_table(head: bytes) -> bool:
    return head.startswith(MAGIC)


def read_table(path: Path, content: Opened) -> Iterator[Raw]:
    """Yield the rows of the parquet or Arrow file `path`, which is read in batches. `content`: the opened file. Raises
    SeedError if the file is damaged, or if it is compressed (e.g. with gzip) and larger than 1 GiB when unpacked."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as plain:
        packed = not plain.read(6).startswith(MAGIC)
    source: Any = str(path)
    if packed:
        data = content.handle.read(_MAX_PACKED + 1)
        if len(data) > _MAX_PACKED:
            raise SeedError(f"{path}: a compressed table of more than {_MAX_PACKED:,} bytes\n    -> unpack it")
        source = pa.BufferReader(data)
    kind = "Arrow" if content.head.startswith(MAGIC[1:]) else "parquet"
    read = 0
    try:
        if kind == "parquet":
            with pq.ParquetFile(source) as file:
                for raw in _rows(file.iter_batches(batch_size=_BATCH)):
                    read += 1
                    yield raw
        else:
            opener = pa.ipc.open_file if content.head.startswith(b"ARROW1") else pa.ipc.open_stream
            reader = opener(source if packed else pa.OSFile(source))  # no memory map: some file systems have none
            batches = (
                (reader.get_batch(n) for n in range(reader.num_record_batches))
                if opener is pa.ipc.open_file
                else reader
            )
            for raw in _rows(batches):
                read += 1
                yield raw
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise SeedError(f"{path}: not readable as {kind} after row {read}: {str(error)[:200]}") from error


def read_saved(folder: Path, split: str, add_note: Callable[[str], None]) -> Iterator[Raw]:
    """Yield the rows of a folder that `save_to_disk` of the library `datasets` wrote. If the folder holds a
    DatasetDict, only the rows of `split` are yielded. Raises SeedError if the folder cannot be read or has no such
    split."""
    import datasets
    import pyarrow as pa

    try:
        data = datasets.load_from_disk(str(folder))
        if isinstance(data, datasets.DatasetDict):
            data = data[choose_split([str(name) for name in data], split, add_note)]
        yield from _rows(data.with_format("arrow").iter(batch_size=_BATCH))
    except BadRecord as error:
        raise SeedError(f"{folder}: {error}") from error
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        pa.ArrowException,
        datasets.exceptions.DatasetsError,
    ) as error:
        raise SeedError(
            f"{folder}: not readable as a save_to_disk folder: {type(error).__name__}: {str(error)[:200]}\n    -> save it again"
        ) from error


def read_hub(name: str, config: str | None, split: str, revision: str | None) -> Iterator[Raw]:
    """Yield all records of a data set on the Hugging Face hub, loaded with `datasets`. Raises SeedError if it cannot be
    loaded."""
    import datasets
    import httpx

    try:
        data = datasets.load_dataset(name, config, split=split, revision=revision)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError, httpx.HTTPError) as error:
        what = f"{name} (config {config or 'default'}, split {split}, revision {revision or 'main'})"
        raise SeedError(
            f"hub data set {what} cannot be loaded: {type(error).__name__}: {str(error)[:400]}\n"
            "    -> check the name, seeds.config, seeds.split and the network, or use a file: seeds.path=FILE"
        ) from error
    yield from _rows(data.with_format("arrow").iter(batch_size=_BATCH))


def _rows(batches: Iterable[Any]) -> Iterator[Raw]:
    """Yield the rows of record batches or tables, numbered from 1. A row with invalid UTF-8 becomes a `Raw` with a fault."""
    number = 0
    for batch in batches:
        try:
            values: list[Any] = batch.to_pylist(maps_as_pydicts="lossy")
        except UnicodeDecodeError:
            values = [_value(batch, place) for place in range(batch.num_rows)]
        for value in values:
            number += 1
            if isinstance(value, UnicodeDecodeError):
                yield Raw(f"row {number}", fault=f"not UTF-8 (byte {value.start + 1} of a text)")
            else:
                yield Raw(f"row {number}", value)


def _value(batch: Any, place: int) -> Any:
    try:
        return batch.slice(place, 1).to_pylist(maps_as_pydicts="lossy")[0]
    except UnicodeDecodeError as error:
        return error
