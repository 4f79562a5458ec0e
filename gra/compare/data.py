"""What synthesis, audit and training left behind, read for the table and the report. Missing files are None, never 0."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.compare.arms import Arm
from gra.errors import StoreError
from gra.fileio import read_json

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class DataFacts:
    """The facts on one arm's training data that stand beside its scores; None is "not known".

    `tokens_in` and `tokens_out` are over all models and roles, None as soon as one server did not say; `flops`
    are those of the same calls, None as soon as one model's size is not known. `wrong` of
    `audited` samples are wrong; `unknown` are those that the audit could not judge.
    """

    samples: int | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    flops: float | None = None
    wrong_share: float | None = None
    audited: int | None = None
    wrong: int | None = None
    unknown: int | None = None

    @property
    def tokens(self) -> int | None:
        """Tokens in and out together."""
        return None if self.tokens_in is None or self.tokens_out is None else self.tokens_in + self.tokens_out


def facts(arm: Arm) -> DataFacts:
    """The facts that the arm's data and audit folders give. Raises StoreError for a file that is there but broken."""
    stats = read_object(arm.file("data", "stats.json"))
    audit = read_object(arm.file("audit", "audit.json"))
    train = arm.file("data", "data", "train.parquet")
    tokens_in, tokens_out = _tokens(stats)
    return DataFacts(
        samples=_rows(train) if train else _count(stats, "kept"),
        tokens_in=tokens_in, tokens_out=tokens_out, flops=_flops(stats),
        wrong_share=_number(audit, "wrong_share"), audited=_count(audit, "n"),
        wrong=_count(audit, "wrong"), unknown=_count(audit, "unknown"),
    )  # fmt: skip


def read_object(path: Path | None) -> dict[str, Any] | None:
    """A JSON file that holds a mapping, or None where there is no such file."""
    if path is None:
        return None
    try:
        value = read_json(path)
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read ({error}). Remove its folder and run the step again.") from error
    if not isinstance(value, dict):
        raise StoreError(f"{path}: a JSON object expected. Remove its folder and run the step again.")
    return value


def read_table(path: Path | None, columns: Sequence[str] | None = None) -> pa.Table | None:
    """A parquet file as a table, only `columns` if given (absent ones are left out), or None where there is no such file."""
    if path is None:
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        wanted = None if columns is None else [name for name in columns if name in file.schema_arrow.names]
        return file.read(columns=wanted)
    except (OSError, pa.ArrowInvalid) as error:
        raise StoreError(f"{path} cannot be read ({error}). Remove its folder and run the step again.") from error


def learning_curve(arm: Arm) -> list[tuple[float, float]]:
    """(step, training loss) from the training log, rows without a loss left out; [] where the arm is not trained."""
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
                raise StoreError(f"{path}, line {line}: {error}. Remove its folder and train again.") from error
            if all(math.isfinite(value) for value in point):
                points.append(point)
    return points


def _rows(path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowInvalid) as error:
        raise StoreError(f"{path} cannot be read ({error}). Remove its folder and run the step again.") from error


def _tokens(stats: dict[str, Any] | None) -> tuple[int | None, int | None]:
    """Tokens in and out over {model: {role: {in, out, calls}}}; (0, 0) only where the data is known to have made no call."""
    if stats is None or not isinstance(stats.get("tokens"), dict):
        return None, None
    uses = [use for roles in stats["tokens"].values() for use in roles.values()]
    if not uses:
        return (0, 0) if stats.get("calls") == 0 else (None, None)
    tokens_in, tokens_out = [use.get("in") for use in uses], [use.get("out") for use in uses]
    return (
        None if any(n is None for n in tokens_in) else int(sum(tokens_in)),
        None if any(n is None for n in tokens_out) else int(sum(tokens_out)),
    )


def _flops(stats: dict[str, Any] | None) -> float | None:
    """FLOPs of all calls as the synthesis worked them out; 0 only where the data is known to have made no call."""
    if stats is None:
        return None
    cost = stats.get("cost")
    return _number(cost, "flops") if isinstance(cost, dict) else 0.0 if stats.get("calls") == 0 else None


def _number(source: dict[str, Any] | None, key: str) -> float | None:
    value = None if source is None else source.get(key)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable and value is not None else None


def _count(source: dict[str, Any] | None, key: str) -> int | None:
    value = _number(source, key)
    return None if value is None else int(value)
