"""From arms to the rows of the table: replicates joined, differences from the reference with intervals. No formatting here."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from gra.compare import data
from gra.compare.arms import Arm, by_name
from gra.compare.bootstrap import Difference, Interval, Range, holm, level_of, paired_bootstrap
from gra.compare.cautions import cautions
from gra.compare.options import enough
from gra.compare.outcomes import Outcomes
from gra.compare.scores import KINDS, Scores, asked_unlike, load_arm, outcomes
from gra.errors import ConfigError, EvalError
from gra.labels import quantized


@dataclass(frozen=True)
class Cell:
    """One arm on one benchmark, averaged over replicates: shares in 0..1; `n` items.

    `value` is the strict score with its interval, `tolerant` the score however the answer is put, `extraction` the share of
    replies with an answer in the asked form; None: not known, or makes no sense."""

    value: float
    n: int
    interval: Range
    tolerant: float | None
    extraction: float | None


@dataclass(frozen=True)
class Facts:
    """`data.DataFacts` averaged over the distinct data sets of an arm (`sets` of them); None is "not known"."""

    sets: int
    samples: float | None
    tokens_in: float | None
    tokens_out: float | None
    tokens: float | None
    flops: float | None
    wrong_share: float | None
    audited: float | None
    wrong: float | None
    unknown: float | None

    @property
    def tokens_per_sample(self) -> float | None:
        """Tokens spent (in and out) for each sample kept; None where either is not known or nothing was kept."""
        return self.tokens / self.samples if self.tokens is not None and self.samples else None

    @property
    def flops_per_sample(self) -> float | None:
        """FLOPs of all calls for each sample kept; None where either is not known or nothing was kept."""
        return self.flops / self.samples if self.flops is not None and self.samples else None


@dataclass(frozen=True)
class Row:
    """One arm of the table. `cells` lacks the benchmarks that this arm was not evaluated on; `mean` and the other means are None
    unless it has all `benchmarks` of the table. `spread` is the sample standard deviation of `mean` over `replicates` (None below
    two). `differences` and `adjusted` (Holm's p by benchmark, within this arm's comparison) have a part for each of
    `scores.KINDS` that both this arm and the reference have. `trainings`: how many are in the arm's own intervals; 0 where
    those are over items alone. `quantized`: labels of models whose weights were rounded to few bits once."""

    name: str
    label: str
    simulated: bool
    quantized: tuple[str, ...]
    reference: bool
    replicates: int
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
        """Mean over benchmarks of the tolerant score."""
        return _mean([cell.tolerant for cell in self.cells.values()]) if self.mean is not None else None

    @property
    def extraction(self) -> float | None:
        """Mean over benchmarks of the share of replies with an answer in the asked form."""
        return _mean([cell.extraction for cell in self.cells.values()]) if self.mean is not None else None

    @property
    def difference(self) -> Difference | None:
        """Reference minus this arm, strict."""
        return self.differences.get("strict")

    def mean_difference(self, kind: str) -> Interval | None:
        """Reference minus this arm in the mean over benchmarks; None unless that is over all of them."""
        found = self.differences.get(kind)
        return found.mean if found is not None and len(found.tasks) == self.benchmarks else None


@dataclass(frozen=True)
class Comparison:
    """All that the table and the report say: `tasks` are the benchmarks in column order, `rows` the arms."""

    title: str
    reference: str
    simulated: bool
    tasks: tuple[str, ...]
    rows: tuple[Row, ...]
    resamples: int
    level: float
    asked_unlike: tuple[str, ...] = ()
    items_only: bool = False

    @property
    def heading(self) -> str:
        """The title, with the label that anything made from simulated models carries."""
        return f"{self.title} (simulated)" if self.simulated else self.title

    @property
    def difference_heading(self) -> str:
        """What the column of differences says."""
        label = next((row.label for row in self.rows if row.reference), self.reference)
        return f"{label} minus arm"


def build(
    arms: Sequence[Arm], *, title: str, reference: str, resamples: int, level: float, seed: int, items_only: bool = False
) -> Comparison:  # fmt: skip
    """Read the arms' folders and compare each with `reference`. Raises EvalError or StoreError for broken or unequal folders,
    ConfigError for resamples that are too few for so many benchmarks.

    Differences are reference minus arm, for arms with the same benchmarks as the reference; replicates that are not
    evaluated yet are left out of an arm's averages, and `replicates` says how many are in. `items_only`: see bootstrap.py.
    """
    groups = by_name(arms)
    runs = {name: [(arm, scores) for arm in group if (scores := load_arm(arm)) is not None] for name, group in groups.items()}
    order = [reference, *(name for name in groups if name != reference)]
    tasks = tuple(dict.fromkeys(task for name in order for _, scores in runs[name] for task in scores.tasks))
    scored = {name: {kind: _outcomes(name, runs[name], tasks, kind) for kind in KINDS} for name in groups}
    options = {"resamples": resamples, "level": level, "seed": seed, "items_only": items_only}
    rows = [
        _row(
            group, runs[name], tasks, scored[name], name == reference, options,
            {} if name == reference else _differences(reference, name, scored, options),
        )
        for name, group in groups.items()
    ]  # fmt: skip
    resampled = [found for row in rows for found in row.differences.values() if found.resamples]
    if problems := enough(resamples, max([0, *(len(found.tasks) for found in resampled)]), level):
        raise ConfigError(problems)
    simulated = any(arm.simulated for arm in arms) or any(s.simulated for found in runs.values() for _, s in found)
    every = [scores for name in order for _, scores in runs[name]]
    unlike = [*asked_unlike(every), *cautions(every)]
    return Comparison(title, reference, simulated, tasks, tuple(rows), resamples, level, tuple(unlike), items_only)


def _outcomes(name: str, runs: Sequence[tuple[Arm, Scores]], tasks: Iterable[str], kind: str) -> dict[str, Outcomes]:
    """By benchmark, the outcomes of an arm's replicates; benchmarks that some replicate lacks are left out."""
    numbers = [0 if arm.replicate is None else arm.replicate for arm, _ in runs]
    scores = [found for _, found in runs]
    found = {task: outcomes(scores, numbers, task, kind, f"Arm {name}") for task in tasks}
    return {task: one for task, one in found.items() if one is not None}


def _differences(
    reference: str, name: str, scored: Mapping[str, Mapping[str, Mapping[str, Outcomes]]], options: Mapping[str, Any]
) -> dict[str, Difference]:  # fmt: skip
    """By kind; none where the two arms were not evaluated on the same benchmarks."""
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
        raise EvalError(f"Arms {reference} and {name} cannot be compared. {error}") from error


def _row(
    group: Sequence[Arm], runs: Sequence[tuple[Arm, Scores]], tasks: Sequence[str], scored: Mapping[str, Mapping[str, Outcomes]],
    reference: bool, options: Mapping[str, Any], differences: Mapping[str, Difference],
) -> Row:  # fmt: skip
    strict = scored["strict"]
    level = level_of(strict, **options) if strict else None
    cells = {
        task: Cell(
            float(found.correct.mean()), len(found.doc_ids), level.tasks[task],
            _average(scored["tolerant"].get(task)), _average(scored["extraction"].get(task)),
        )
        for task, found in strict.items() if level is not None
    }  # fmt: skip
    complete = bool(tasks) and len(cells) == len(tasks)
    means = [_mean([scores.tasks[task].value for task in tasks]) for _, scores in runs] if complete else []
    known = [mean for mean in means if mean is not None]
    return Row(
        name=group[0].name, label=group[0].label, reference=reference, replicates=len(runs), benchmarks=len(tasks), cells=cells,
        simulated=any(arm.simulated for arm in group) or any(scores.simulated for _, scores in runs),
        quantized=tuple(sorted({words for words in _few_bits(group, runs) if words is not None})),
        mean=statistics.fmean(cell.value for cell in cells.values()) if complete else None,
        interval=level.mean if complete and level is not None else None, trainings=level.trainings if level is not None else 0,
        spread=statistics.stdev(known) if len(known) > 1 else None,
        facts=_facts(group), differences=differences,
        adjusted={kind: holm(found.family) for kind, found in differences.items()},
    )  # fmt: skip


def _few_bits(group: Sequence[Arm], runs: Sequence[tuple[Arm, Scores]]) -> list[str | None]:
    return [*(scores.quantized for _, scores in runs), *(quantized([arm.folders.get("model")]) for arm in group)]


def _average(found: Outcomes | None) -> float | None:
    return None if found is None else float(found.correct.mean())


def _facts(group: Sequence[Arm]) -> Facts:
    distinct: dict[object, data.DataFacts] = {}
    for arm in group:
        if "data" in arm.folders or "audit" in arm.folders:
            distinct.setdefault((arm.folders.get("data"), arm.folders.get("audit")), data.facts(arm))
    found = list(distinct.values())

    def over(read: Callable[[data.DataFacts], float | None]) -> float | None:
        return _mean([read(one) for one in found])

    known = {one.name: _mean([getattr(facts, one.name) for facts in found]) for one in fields(data.DataFacts)}
    return Facts(sets=len(found), tokens=over(lambda one: one.tokens), **known)


def _mean(values: Sequence[float | None]) -> float | None:
    """The plain mean, None if there is nothing to average or something is not known."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None
