"""Reads results/paper/benchmarks.csv: the benchmarks of the paper, their numbers of items, and the tasks of this
project that measure the same."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from gra.compare.paper.tables import BENCHMARKS
from gra.errors import ConfigError, Problem, StoreError


@dataclass(frozen=True)
class Benchmark:
    """One column of the paper's tables.

    `items`: how many items (questions) the benchmark has.
    `tasks`: the tasks of this project that correspond to the benchmark. If a run has several, the first is used.
    `own_items`: how many items a task of this project has that corresponds to the benchmark.
    `opendataarena`: the name of the benchmark's column in OpenDataArena's leaderboard, or "".
    `note`: how the tasks differ from the benchmark.
    """

    name: str
    group: str
    items: int
    tasks: tuple[str, ...]
    own_items: int
    opendataarena: str
    note: str


def load(path: Path) -> dict[str, Benchmark]:
    """Return the benchmarks by name, in the order of the paper's columns. Raises StoreError if the file is damaged."""
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
        found = {
            row["benchmark"]: Benchmark(
                row["benchmark"],
                row["group"],
                int(row["items"]),
                tuple(row["tasks"].split()),
                int(row["own_items"]),
                row["opendataarena"],
                row["note"],
            )
            for row in rows
        }
    except (OSError, KeyError, ValueError, AttributeError) as error:
        raise StoreError(f"{path} cannot be read ({error!r})\n    -> restore the file") from error
    if tuple(found) != BENCHMARKS:
        raise StoreError(
            f"{path}: one line for each of {', '.join(BENCHMARKS)}, in this order, is expected\n    -> restore the file"
        )
    return found


def columns(benchmarks: Mapping[str, Benchmark], tasks: Collection[str], own: Mapping[str, str]) -> dict[str, str]:
    """Return a mapping from each benchmark of the paper to the task in `tasks` that measures it.

    A benchmark without a task in `tasks` is left out.
    `own`: the user's own mapping from benchmark to task, which takes precedence. If it names a benchmark or task that
        does not exist, ConfigError is raised.
    """
    problems = [
        Problem(f"paper.columns.{name}", "is not a column of the paper's tables", f"one of: {', '.join(benchmarks)}")
        for name in own
        if name not in benchmarks
    ]
    problems += [
        Problem(f"paper.columns.{name}", f"no run has a task `{task}`", f"one of: {', '.join(sorted(tasks))}")
        for name, task in own.items()
        if name in benchmarks and task not in tasks
    ]
    if problems:
        raise ConfigError(problems)
    found = {}
    for name, benchmark in benchmarks.items():
        task = own.get(name) or next((one for one in benchmark.tasks if one in tasks), None)
        if task is not None:
            found[name] = task
    return found
