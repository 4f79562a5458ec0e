"""Reads facts on an arm's training data (such as the number of samples), and defines the columns that show them beside
its scores. A missing fact is None, never 0.

To add a column, add one entry to COLUMNS: the table, its CSV and the report take their columns from there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gra.compare.arms import Arm
from gra.compare.reading.data import read_object, rows_of
from gra.compare.tables.numbers import count, mean_of, percent, short


@dataclass(frozen=True)
class Sources:
    """The files of one data set. `stats`: the content of stats.json. `audit`: the content of audit.json. `train`: the
    path of the file with the samples. If a file does not exist, its attribute is None."""

    stats: Mapping[str, Any] | None
    audit: Mapping[str, Any] | None
    train: Path | None


@dataclass(frozen=True)
class Facts:
    """Facts on an arm's training data, such as the number of samples. `sets`: the number of the arm's distinct data
    sets. `values`: name of a column -> mean over these data sets. None means unknown."""

    sets: int
    values: Mapping[str, float | None]

    def __getattr__(self, name: str) -> float | None:
        if name.startswith("__") or name == "values":  # copy and pickle ask for these before the fields are set
            raise AttributeError(name)
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(frozen=True)
class Column:
    """A column that shows a fact on the training data. One of the functions `read` and `derive` computes its values.
    The other is None.

    `read`: a function that computes the value for one data set. `derive`: a function that computes an arm's value from
    the arm's values in earlier columns. `heading`: the heading in the table. If it is "", the column is in the CSV file
    only. `place`: the column's position in the table. `show`: a function that formats the value.
    """

    name: str
    read: Callable[[Sources], float | None] | None = None
    derive: Callable[[Mapping[str, float | None]], float | None] | None = None
    heading: str = ""
    place: int = 0
    show: Callable[[float | None], str] = short


def number(source: Mapping[str, Any] | None, key: str) -> float | None:
    """Return the finite number that `source` has under `key`; None if it has none."""
    value = None if source is None else source.get(key)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable and value is not None else None


def _samples(found: Sources) -> float | None:
    return rows_of(found.train) if found.train else number(found.stats, "kept")


def _tokens(side: str) -> Callable[[Sources], float | None]:
    """Return a function that computes the number of tokens of all calls for one data set. `side`: `in` for input
    tokens, `out` for output tokens. The number includes the tokens of the data sets from which this one was made
    (`before` in stats.json). It is 0 only if the data are known to have needed no call, and None if it is unknown."""

    def read(found: Sources) -> float | None:
        stats = found.stats
        if stats is None or not isinstance(stats.get("tokens"), dict):
            return None
        parts = [stats["tokens"], _before(stats).get("tokens", {})]
        uses = [use for part in parts for roles in part.values() for use in roles.values()]
        if stats.get("before", {}) is None:  # nothing is known of the data from which this was made
            return None
        known = [use.get(side) for use in uses]
        if not uses:
            return 0.0 if stats.get("calls") == 0 else None
        return None if any(n is None for n in known) else float(sum(known))

    return read


def _both(found: Sources) -> float | None:
    one, other = (_tokens(side)(found) for side in ("in", "out"))
    return None if one is None or other is None else one + other


def _flops(found: Sources) -> float | None:
    """FLOPs of all calls, as computed by the synthesis, including `before` of stats.json. 0 only if the data is known
    to have needed no call."""
    if found.stats is None:
        return None
    cost = found.stats.get("cost")
    own = number(cost, "flops") if isinstance(cost, dict) else 0.0 if found.stats.get("calls") == 0 else None
    if "before" not in found.stats:
        return own
    earlier = number(_before(found.stats), "flops")
    return None if own is None or earlier is None else own + earlier


def _before(stats: Mapping[str, Any]) -> Mapping[str, Any]:
    earlier = stats.get("before")
    return earlier if isinstance(earlier, dict) else {}


def _audited(key: str) -> Callable[[Sources], float | None]:
    return lambda found: number(found.audit, key)


def _per_sample(name: str) -> Callable[[Mapping[str, float | None]], float | None]:
    """A function that divides the column `name` by the kept samples; it returns None if either is unknown or nothing
    was kept."""

    def derive(values: Mapping[str, float | None]) -> float | None:
        whole, samples = values[name], values["samples"]
        return whole / samples if whole is not None and samples else None

    return derive


def _flawed(values: Mapping[str, float | None]) -> float | None:
    """The share of audited samples with a flawed instruction (not a task with an answer), in data of the simulated
    world."""
    flawed, audited = values["unknown"], values["audited"]
    return flawed / audited if flawed is not None and audited else None


COLUMNS = (  # in the order of the CSV
    Column("samples", _samples, heading="Training samples", place=1, show=count),
    Column("tokens_in", _tokens("in")),
    Column("tokens_out", _tokens("out")),
    Column("tokens", _both, heading="Tokens", place=4),
    Column("tokens_per_sample", derive=_per_sample("tokens"), heading="Tokens/sample", place=5),
    Column("flops", _flops),
    Column("flops_per_sample", derive=_per_sample("flops"), heading="FLOPs/sample", place=6),
    Column("audited", _audited("n")),
    Column("wrong", _audited("wrong")),
    Column("wrong_share", _audited("wrong_share"), heading="Wrong %", place=2, show=percent),
    Column("unknown", _audited("unknown")),
    Column("flawed_share", derive=_flawed, heading="Flawed %", place=3, show=percent),
)
SHOWN = tuple(sorted((column for column in COLUMNS if column.heading), key=lambda column: column.place))


def facts(group: Sequence[Arm]) -> Facts:
    """Return the facts on an arm's data, as means over the data sets of its replicates. A data set that several
    replicates share counts once. Raises StoreError if a file is damaged."""
    sets: dict[object, Sources] = {}
    for arm in group:
        if "data" in arm.folders or "audit" in arm.folders:
            sets.setdefault((arm.folders.get("data"), arm.folders.get("audit")), _sources(arm))
    values: dict[str, float | None] = {}
    for column in COLUMNS:
        if column.read is not None:
            values[column.name] = mean_of([column.read(found) for found in sets.values()])
        elif column.derive is not None:
            values[column.name] = column.derive(values)
    return Facts(len(sets), values)


def _sources(arm: Arm) -> Sources:
    stats, audit = read_object(arm.file("data", "stats.json")), read_object(arm.file("audit", "audit.json"))
    return Sources(stats, audit, arm.file("data", "data", "train.parquet"))
