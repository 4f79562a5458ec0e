"""From arms to the rows of the table: replicates joined, differences from the reference with intervals. No formatting here."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from gra.compare import data
from gra.compare.arms import Arm, by_name
from gra.compare.bootstrap import Difference, Outcomes, holm, paired_bootstrap
from gra.compare.scores import Scores, load_arm, outcomes
from gra.errors import EvalError


@dataclass(frozen=True)
class Cell:
    """One arm on one benchmark, averaged over replicates: shares in 0..1; `n` items. `no_answer` None: not known."""

    value: float
    n: int
    no_answer: float | None


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
    """One arm of the table. `cells` lacks the benchmarks that this arm was not evaluated on; `mean` is None unless it has
    all of the table's. `spread` is the sample standard deviation of `mean` over `replicates` (None below two)."""

    name: str
    label: str
    simulated: bool
    reference: bool
    replicates: int
    cells: Mapping[str, Cell]
    mean: float | None
    spread: float | None
    facts: Facts
    difference: Difference | None = None
    adjusted: Mapping[str, float] | None = None  # Holm-adjusted p by benchmark, within this arm's comparison

    @property
    def no_answer(self) -> float | None:
        """Mean over benchmarks of the share of replies with no answer in them; None unless known for all."""
        return _mean([cell.no_answer for cell in self.cells.values()]) if self.mean is not None else None


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

    @property
    def heading(self) -> str:
        """The title, with the label that anything made from simulated models carries."""
        return f"{self.title} (simulated)" if self.simulated else self.title

    @property
    def difference_heading(self) -> str:
        """What the column of differences says."""
        label = next((row.label for row in self.rows if row.reference), self.reference)
        return f"{label} minus arm"


def build(arms: Sequence[Arm], *, title: str, reference: str, resamples: int, level: float, seed: int) -> Comparison:
    """Read the arms' folders and compare each with `reference`. Raises EvalError or StoreError for broken or unequal folders.

    Differences are reference minus arm, for arms with the same benchmarks as the reference; replicates that are not
    evaluated yet are left out of an arm's averages, and `replicates` says how many are in.
    """
    groups = by_name(arms)
    runs = {name: [(arm, scores) for arm in group if (scores := load_arm(arm)) is not None] for name, group in groups.items()}
    order = [reference, *(name for name in groups if name != reference)]
    tasks = tuple(dict.fromkeys(task for name in order for _, scores in runs[name] for task in scores.tasks))
    scored = {name: _outcomes(name, runs[name], tasks) for name in groups}
    rows = []
    for name, group in groups.items():
        difference = None
        if name != reference and scored[name] and set(scored[name]) == set(scored[reference]):
            difference = _difference(reference, name, scored, resamples, level, seed)
        rows.append(_row(name, group, runs[name], tasks, scored[name], difference, name == reference))
    simulated = any(arm.simulated for arm in arms) or any(s.simulated for found in runs.values() for _, s in found)
    return Comparison(title, reference, simulated, tasks, tuple(rows), resamples, level)


def _outcomes(name: str, runs: Sequence[tuple[Arm, Scores]], tasks: Iterable[str]) -> dict[str, Outcomes]:
    """By benchmark, the outcomes of an arm's replicates; benchmarks that some replicate lacks are left out."""
    numbers = [0 if arm.replicate is None else arm.replicate for arm, _ in runs]
    scores = [found for _, found in runs]
    return {
        task: outcomes(scores, numbers, task, f"Arm {name}")
        for task in tasks
        if scores and all(task in found.tasks for found in scores)
    }


def _difference(
    reference: str, name: str, scored: Mapping[str, Mapping[str, Outcomes]], resamples: int, level: float, seed: int
) -> Difference:
    try:
        return paired_bootstrap(scored[reference], scored[name], resamples=resamples, seed=seed, level=level)
    except EvalError as error:
        raise EvalError(f"Arms {reference} and {name} cannot be compared. {error}") from error


def _row(
    name: str, group: Sequence[Arm], runs: Sequence[tuple[Arm, Scores]], tasks: Sequence[str],
    scored: Mapping[str, Outcomes], difference: Difference | None, reference: bool,
) -> Row:  # fmt: skip
    cells = {}
    for task, found in scored.items():
        parts = [scores.tasks[task] for _, scores in runs]
        cells[task] = Cell(float(found.correct.mean()), len(found.doc_ids), _mean([part.no_answer for part in parts]))
    complete = bool(tasks) and len(cells) == len(tasks)
    means = [statistics.fmean(scores.tasks[task].value for task in tasks) for _, scores in runs] if complete else []
    return Row(
        name=name, label=group[0].label, reference=reference, replicates=len(runs), cells=cells,
        simulated=any(arm.simulated for arm in group) or any(scores.simulated for _, scores in runs),
        mean=statistics.fmean(cell.value for cell in cells.values()) if complete else None,
        spread=statistics.stdev(means) if len(means) > 1 else None,
        facts=_facts(group), difference=difference,
        adjusted=holm({task: found.p for task, found in difference.tasks.items()}) if difference else None,
    )  # fmt: skip


def _facts(group: Sequence[Arm]) -> Facts:
    distinct: dict[object, data.DataFacts] = {}
    for arm in group:
        if "data" in arm.folders or "audit" in arm.folders:
            distinct.setdefault((arm.folders.get("data"), arm.folders.get("audit")), data.facts(arm))
    found = list(distinct.values())

    def over(read: Callable[[data.DataFacts], float | None]) -> float | None:
        return _mean([read(one) for one in found])

    known = {field.name: _mean([getattr(one, field.name) for one in found]) for field in fields(data.DataFacts)}
    return Facts(sets=len(found), tokens=over(lambda one: one.tokens), **known)


def _mean(values: Sequence[float | None]) -> float | None:
    """The plain mean, None if there is nothing to average or something is not known."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None
