"""The same records written in every form that seeds come in: for tests."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gra.synthesis.seeds.load import SeedSet, SeedSettings, load_seeds

Records = list[dict[str, Any]]
GOOD: Records = [
    {"instruction": f"Name the number after {i}.", "input": "", "output": f"It is {i + 1}."} for i in range(5)
]


def load(path: Path | str, seed: int = 0, base: Path | None = None, **values: Any) -> SeedSet:
    return load_seeds(SeedSettings(path=str(path), **values), seed, base)


def pairs(found: SeedSet) -> list[tuple[str, str]]:
    return [(seed.instruction, seed.response) for seed in found.seeds]


def jsonl(records: Records, **options: Any) -> str:
    return "".join(json.dumps(record, **options) + "\n" for record in records)


def delimited(records: Records, delimiter: str = ",") -> str:
    held = io.StringIO()
    writer = csv.DictWriter(held, list(records[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(records)
    return held.getvalue()


def columns(records: Records) -> dict[str, list[Any]]:
    return {name: [record[name] for record in records] for name in records[0]}


TEXTS: dict[str, Callable[[Records], str]] = {
    "a.jsonl": jsonl,
    "one_array.jsonl": json.dumps,
    "pretty_array.jsonl": lambda r: json.dumps(r, indent=2),
    "array.json": json.dumps,
    "pretty_array.json": lambda r: json.dumps(r, indent=1),
    "array_of_lines.json": lambda r: "[\n" + ",\n".join(map(json.dumps, r)) + "\n]",
    "array_of_lines.jsonl": lambda r: "[\n" + ",\n".join(map(json.dumps, r)) + "\n]",
    "lines.json": jsonl,
    "a.ndjson": jsonl,
    "crlf.jsonl": lambda r: jsonl(r).replace("\n", "\r\n"),
    "no_ending": jsonl,
    "joined.json": lambda r: "".join(map(json.dumps, r)),
    "joined.jsonl": lambda r: " ".join(map(json.dumps, r)),
    "joined_pretty.json": lambda r: "\n".join(json.dumps(record, indent=2) for record in r),
    "joined_pretty.jsonl": lambda r: "\n".join(json.dumps(record, indent=2) for record in r),
    "sequence.json": lambda r: "".join(f"\x1e{json.dumps(record)}\n" for record in r),
    "rows.json": lambda r: json.dumps(
        {"features": [], "rows": [{"row_idx": i, "row": x, "truncated_cells": []} for i, x in enumerate(r)]}
    ),
    "list_of_rows.json": lambda r: json.dumps([{"row_idx": i, "row": x} for i, x in enumerate(r)]),
    "data.json": lambda r: json.dumps({"version": "1.0", "data": r}, indent=1),
    "data.jsonl": lambda r: json.dumps({"data": r}),
    "splits.json": lambda r: json.dumps({"train": r, "test": [{**r[0], "output": "of the test"}]}),
    "columns.json": lambda r: json.dumps(columns(r)),
    "train_columns.json": lambda r: json.dumps({"train": columns(r)}),
    "pandas_columns.json": lambda r: json.dumps(
        {n: {str(i): v for i, v in enumerate(c)} for n, c in columns(r).items()}
    ),
    "pandas_index.json": lambda r: json.dumps({str(i): x for i, x in enumerate(r)}),
    "pandas_split.json": lambda r: json.dumps(
        {"columns": list(r[0]), "index": list(range(len(r))), "data": [[x[name] for name in r[0]] for x in r]}
    ),
    "batches.jsonl": lambda r: json.dumps(r[:2]) + "\n" + json.dumps(r[2:]) + "\n",
    "a.csv": delimited,
    "semicolons.csv": lambda r: delimited(r, ";"),
    "tabs.csv": lambda r: delimited(r, "\t"),
    "a.tsv": lambda r: delimited(r, "\t"),
    "bars.csv": lambda r: delimited(r, "|"),
    "excel.csv": lambda r: "sep=;\r\n" + delimited(r, ";"),
    "table_without_ending": delimited,
    "json_inside.csv": jsonl,
    "table_inside.json": delimited,
}


def parquet(records: Records) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    held = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), held)
    return held.getvalue()


def arrow(records: Records, stream: bool) -> bytes:
    import pyarrow as pa

    table, held = pa.Table.from_pylist(records), io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(held, table.schema) as writer:
        writer.write_table(table)
    return held.getvalue()


def by_arrow(data: bytes, codec: str) -> bytes:
    import pyarrow as pa

    held = pa.BufferOutputStream()
    with pa.CompressedOutputStream(held, codec) as stream:
        stream.write(data)
    packed: bytes = held.getvalue().to_pybytes()
    return packed


TABLES: dict[str, Callable[[Records], bytes]] = {
    "a.parquet": parquet,
    "parquet_without_ending": parquet,
    "a.arrow": lambda records: arrow(records, stream=True),
    "a.feather": lambda records: arrow(records, stream=False),
}
ENCODINGS = {
    "utf-8": "utf-8",
    "utf-8 with a mark": "utf-8-sig",
    "utf-16 with a mark": "utf-16",
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
    "utf-32 with a mark": "utf-32",
    "utf-32-le": "utf-32-le",
    "utf-32-be": "utf-32-be",
}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: by_arrow(data, "zstd"),
    ".lz4": lambda data: by_arrow(data, "lz4"),
    ".gz.xz": lambda data: lzma.compress(gzip.compress(data)),
}
