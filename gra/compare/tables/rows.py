"""Builds the table's rows from arms: averages over replicates, and computes each arm's difference from the reference
with an interval. Formats nothing."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gra.compare.arms import Arm
from gra.compare.options import enough
from gra.compare.reading.evaluated import Evaluated, read
from gra.compare.reading.scores import KINDS, Scores, conditions_differ
from gra.compare.statistics.bootstrap import Difference, Interval, Range, level_of, paired_bootstrap
from gra.compare.statistics.item_scores import Outcomes
from gra.compare.statistics.multiple_testing import holm
from gra.compare.tables.cautions import cautions
from gra.compare.tables.data_columns import Facts, facts
from gra.compare.tables.numbers import mean_of
from gra.errors import ConfigError, EvalError
from gra.labels import quantized


@dataclass(frozen=True)
class Cell:
    """The scores of one arm on one benchmark of `n` items. They are fractions (0..1), averaged over replicates. None
    means unknown, or not applicable to this benchmark.

    `value`: the strict score, which counts a right answer only if it has the requested format. `interval`: the interval
    of the strict score. `tolerant`: the lenient score, which counts a right answer in any format that can be
    recognised. `extraction`: the fraction of replies with an answer in the requested format.
    """

    value: float
    n: int
    interval: Range
    tolerant: float | None
    extraction: float | None


@dataclass(frozen=True)
class TableRow:
    """One arm of the table, averaged over its evaluated replicates.

    `planned`: the number of all replicates. `replicates`: the number of evaluated replicates. `facts`: statistics of
    the training data. If no replicate was evaluated, `facts` covers all replicates. `cells`: the scores on each
    benchmark on which the arm was evaluated. `benchmarks`: the number of benchmarks of the table. If the arm was not
    evaluated on all of them, its means are None. `spread`: the sample standard deviation of the replicates' means. It
    is None for fewer than two replicates. `differences`: kind of score (`scores.KINDS`) -> the reference's scores minus
    this arm's. Kinds that one of the two arms lacks are left out. `adjusted`: kind of score -> benchmark -> p-value
    after Holm's correction over the arm's benchmarks. `trainings`: the number of training runs, if the arm's own
    intervals take training noise into account. `trainings` is 0 if these intervals are over items only. `quantized`:
    the labels of models whose weights were once quantised.
    """

    name: str
    label: str
    simulated: bool
    quantized: tuple[str, ...]
    reference: bool
    replicates: int
    planned: int
    benchmarks: int
    cells: Mapping[str, Cell]
    mean: float | None
    interval: Range | None
    trainings: int
    spread: float | None
    facts: Facts
    differences: Mapping[str, Difference] = field(default_factory=dict)
    adjusted: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def tolerant(self) -> float | None:
        """The mean over benchmarks of the tolerant score; None if unknown."""
        return mean_of([cell.tolerant for cell in self.cells.values()]) if self.mean is not None else None

    @property
    def extraction(self) -> float | None:
        """The mean over benchmarks of the fraction of replies with an answer in the requested form; None if unknown."""
        return mean_of([cell.extraction for cell in self.cells.values()]) if self.mean is not None else None

    @property
    def difference(self) -> Difference | None:
        """The reference's strict scores minus this arm's; None if the two were not compared."""
        return self.differences.get("strict")

    def mean_difference(self, kind: str) -> Interval | None:
        """Return the reference's mean over benchmarks minus this arm's mean. Return None if the two arms were not
        compared on all benchmarks of the table. `kind`: the kind of score, one of `scores.KINDS`."""
        found = self.differences.get(kind)
        return found.mean if found is not None and len(found.tasks) == self.benchmarks else None


@dataclass(frozen=True)
class Comparison:
    """The content of the table and the report. `tasks`: the benchmarks, in the order of the columns. `rows`: one row
    per arm."""

    title: str
    reference: str
    simulated: bool
    tasks: tuple[str, ...]
    rows: tuple[TableRow, ...]
    resamples: int
    level: float
    caveats: tuple[str, ...] = ()
    items_only: bool = False

    @property
    def heading(self) -> str:
        """The heading of the table. If anything comes from simulated models and the title does not say so,
        "(simulated)" is added to the title."""
        says = "simulated" in self.title.casefold().replace("(", " ").replace(")", " ").split()
        return f"{self.title} (simulated)" if self.simulated and not says else self.title

    @property
    def difference_heading(self) -> str:
        """The heading of the column that shows the differences: "REFERENCE minus arm"."""
        label = next((row.label for row in self.rows if row.reference), self.reference)
        return f"{label} minus arm"

    @property
    def scored(self) -> bool:
        """Whether any arm has a score."""
        return any(row.cells for row in self.rows)


def build(
    arms: Sequence[Arm],
    *,
    title: str,
    reference: str,
    resamples: int,
    level: float,
    seed: int,
    items_only: bool = False,
    evaluated: Evaluated | None = None,
) -> Comparison:
    """Return the comparison of each arm with the arm named `reference`. Differences are reference minus arm. An arm has
    differences only if it was evaluated on the same benchmarks as the reference. Replicates that are not evaluated yet
    are left out of an arm's averages.

    `items_only`: whether all intervals are over items only and leave training noise out (see bootstrap.py).
    `evaluated`: the arms' scores. None means that they are read from the arms' folders.

    Raises EvalError or StoreError if folders are damaged or do not match each other. Raises ConfigError if there are
    too few resamples for a significant difference after Holm's correction over the benchmarks.
    """
    found = evaluated or read(arms, reference)
    groups, runs, tasks, scored = found.groups, found.runs, found.tasks, found.scored
    options = {"resamples": resamples, "level": level, "seed": seed, "items_only": items_only}
    rows = [
        _row(
            group,
            runs[name],
            found.simulated(name),
            tasks,
            scored[name],
            name == reference,
            options,
            {} if name == reference else _differences(reference, name, scored, options),
        )
        for name, group in groups.items()
    ]
    resampled = [found for row in rows for found in row.differences.values() if found.resamples]
    if problems := enough(resamples, max([0, *(len(found.tasks) for found in resampled)]), level):
        raise ConfigError(problems)
    simulated = any(row.simulated for row in rows)
    every = found.scores()
    caveats = [*conditions_differ(every), *cautions(every)]
    return Comparison(title, reference, simulated, tasks, tuple(rows), resamples, level, tuple(caveats), items_only)


def _differences(
    reference: str, name: str, scored: Mapping[str, Mapping[str, Mapping[str, Outcomes]]], options: Mapping[str, Any]
) -> dict[str, Difference]:
    """Differences by kind; {} where the two arms were evaluated on different benchmarks."""
    there, here = scored[reference], scored[name]
    if set(there["strict"]) != set(here["strict"]):
        return {}
    try:
        return {
            kind: paired_bootstrap(there[kind], here[kind], **options)
            for kind in KINDS
            if here[kind] and set(here[kind]) == set(there[kind])
        }
    except EvalError as error:
        raise EvalError(f"Arms {reference} and {name} cannot be compared: {error}") from error


def _row(
    group: Sequence[Arm],
    runs: Sequence[tuple[Arm, Scores]],
    simulated: bool,
    tasks: Sequence[str],
    scored: Mapping[str, Mapping[str, Outcomes]],
    reference: bool,
    options: Mapping[str, Any],
    differences: Mapping[str, Difference],
) -> TableRow:
    strict = scored["strict"]
    level = level_of(strict, **options) if strict else None
    cells = {
        task: Cell(
            float(found.correct.mean()),
            len(found.doc_ids),
            level.tasks[task],
            _average(scored["tolerant"].get(task)),
            _average(scored["extraction"].get(task)),
        )
        for task, found in strict.items()
        if level is not None
    }
    complete = bool(tasks) and len(cells) == len(tasks)
    means = [mean_of([scores.tasks[task].value for task in tasks]) for _, scores in runs] if complete else []
    known = [mean for mean in means if mean is not None]
    return TableRow(
        name=group[0].name,
        label=group[0].label,
        reference=reference,
        replicates=len(runs),
        planned=len(group),
        benchmarks=len(tasks),
        cells=cells,
        simulated=simulated,
        quantized=tuple(sorted({words for words in _few_bits(group, runs) if words is not None})),
        mean=statistics.fmean(cell.value for cell in cells.values()) if complete else None,
        interval=level.mean if complete and level is not None else None,
        trainings=level.trainings if level is not None else 0,
        spread=statistics.stdev(known) if len(known) > 1 else None,
        facts=facts([arm for arm, _ in runs] or group),
        differences=differences,
        adjusted={kind: holm(found.family) for kind, found in differences.items()},
    )


def _few_bits(group: Sequence[Arm], runs: Sequence[tuple[Arm, Scores]]) -> list[str | None]:
    return [*(scores.quantized for _, scores in runs), *(quantized([arm.folders.get("model")]) for arm in group)]


def _average(found: Outcomes | None) -> float | None:
    return None if found is None else float(found.correct.mean())
