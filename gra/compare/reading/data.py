"""Reads the output of synthesis, audit and training for the table and the report. If a file is missing, a number from
it is None, never 0."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.compare.arms import Arm
from gra.errors import StoreError
from gra.fileio import read_json

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


def read_object(path: Path | None) -> dict[str, Any] | None:
    """Return the mapping in a JSON file; None if the file does not exist."""
    if path is None:
        return None
    try:
        value = read_json(path)
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read ({error})\n    -> remove its folder and run the step again") from error
    if not isinstance(value, dict):
        raise StoreError(f"{path}: a JSON object is expected\n    -> remove its folder and run the step again")
    return value


def read_table(path: Path | None, columns: Sequence[str] | None = None) -> pa.Table | None:
    """Return a parquet file as a table. Return None if the file does not exist. `columns`: the columns to read. None
    means all. Columns that the file lacks are left out."""
    file = open_table(path)
    if file is None:
        return None
    names = file.schema_arrow.names
    return read_groups(path, file, None, names if columns is None else [name for name in columns if name in names])


def open_table(path: Path | None) -> pq.ParquetFile | None:
    """Open a parquet file; None if it does not exist."""
    if path is None:
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise StoreError(f"{path} cannot be read ({error})\n    -> remove its folder and run the step again") from error


def read_groups(
    path: Path | None, file: pq.ParquetFile, groups: Sequence[int] | None, columns: Sequence[str]
) -> pa.Table:
    """Return columns of the opened parquet file `file` as a table. `groups`: the row groups to read. None means all.
    `columns`: the columns to read. `path`: the file's path, for errors."""
    import pyarrow as pa

    try:
        return file.read(columns=columns) if groups is None else file.read_row_groups(groups, columns=columns)
    except (OSError, pa.ArrowInvalid) as error:
        raise StoreError(f"{path} cannot be read ({error})\n    -> remove its folder and run the step again") from error


def learning_curve(arm: Arm) -> list[tuple[float, float]]:
    """Return the points (step, training loss) of the arm's training log. Rows without a loss are left out. Return [] if
    the arm has no training log."""
    path = arm.file("model", "log.csv") or arm.file("model", "model", "log.csv")
    if path is None:
        return []
    points = []
    with path.open(encoding="utf-8", newline="") as handle:
        for line, row in enumerate(csv.DictReader(handle), 2):
            step, loss = row.get("step") or "", row.get("loss") or ""
            if not step or not loss:
                continue  # evaluation rows and the closing summary have no loss
            try:
                point = (float(step), float(loss))
            except ValueError as error:
                raise StoreError(f"{path}, line {line}: {error}\n    -> remove its folder and train again") from error
            if all(math.isfinite(value) for value in point):
                points.append(point)
    return points


def rows_of(path: Path) -> int:
    """Return the number of rows of a parquet file. Raises StoreError if it cannot be read."""
    file = open_table(path)
    assert file is not None
    return int(file.metadata.num_rows)
