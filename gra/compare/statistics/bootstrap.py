"""Computes intervals for the scores of arms on the same test items, and for the difference between two arms.

There are two questions, each with its method:

- *Over items*: would these two trained models differ on other questions of the same kind? Items are resampled
  (`resampling.py`). *Paired*: both arms use the same resampled items, so item difficulty cancels out (Koehn 2004,
  "Statistical Significance Tests for Machine Translation Evaluation", section 3; Miller 2024, arXiv 2411.00640, section
  4.2). *Stratified*: items are drawn within each benchmark, because its size is fixed by design (Davison and Hinkley
  1997, "Bootstrap Methods and their Application", section 3.2). Intervals are percentile intervals. This method is used
  if there are too few training runs for the other method, or if the caller sets `items_only`.
- *Over items and training runs*: would the two recipes differ if each were run again, on other questions? Standard
  errors come from an analysis of variance, with Student's t (`trainings.py`). This method needs at least three training
  runs of one arm, or at least two of each arm.

The overall statistic is the unweighted mean over benchmarks. Where items come in correlated groups (MMLU's subjects,
BBH's tasks), whole groups are drawn (Cameron, Gelbach and Miller 2008, "Bootstrap-Based Improvements for Inference with
Clustered Errors", section 3.1). A benchmark whose items nearly all have the same outcome gets its interval from
`edges.py`.

`benchmarks/intervals.py` measures by simulation how often these intervals cover the truth, and how often a table stars
a difference (marks it as significant) although there is none. The results are in `benchmarks/README.md`.

Limits. An interval over items says nothing about another training of the same recipe: with one point of training noise,
95 % intervals of a mean over ten benchmarks cover the truth about half the time. Two or three training runs give a poor
estimate of training noise: the intervals are wide, and a single one can still be too narrow. If one arm was trained
once and the other at least three times, the training noise of the two is assumed to be equal; the data cannot confirm
this.

Few clusters make intervals too narrow. In a simulation with 50 items per cluster and a standard deviation of 20 points
between clusters, resampling clusters gave 95 % intervals that covered the truth in 89 % of 400 trials with 7 clusters,
92 % with 20, 93 % with BBH's 27 and 94 % with MMLU's 57; resampling items gave 83 to 85 %. Cameron and Miller ("A
Practitioner's Guide to Cluster-Robust Inference", Journal of Human Resources 2015, section VI) put "few" below 20 to
50. Therefore a benchmark with fewer than `item_scores.FEW_CLUSTERS` clusters, such as MATH with its seven subjects or
MMLU cut to its first items, is resampled by item. Its interval holds for other questions on the same subjects, not for
other subjects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist

from gra.compare.statistics import resampling
from gra.compare.statistics.edges import Edge, edge, effective
from gra.compare.statistics.item_scores import Outcomes, Table, matched, replicates_of, table_of
from gra.compare.statistics.trainings import Estimate, Parts, estimate, known, mean_of, measure
from gra.intervals import normal, student, wilson

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Range:
    """A score or a difference of scores (`value`), with its confidence interval from `low` to `high`. All three numbers
    are fractions, so 0.01 is one point."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Interval(Range):
    """A difference of scores with its confidence interval and its p-value. `p`: the two-sided p-value of "no
    difference", computed by the same method as the interval. `df`: the degrees of freedom of Student's t in the
    interval. It is infinite if the interval is over items only, i.e. if it leaves training noise out."""

    p: float
    df: float = math.inf


@dataclass(frozen=True)
class Level:
    """The scores of one arm with their intervals.

    `mean`: the mean over all benchmarks. `tasks`: benchmark -> score. `groups`: name of a group of benchmarks -> mean
    over the group. `trainings`: the number of training runs, if the intervals take training noise into account. It is 0
    if the intervals are over items only.
    """

    mean: Range
    tasks: dict[str, Range]
    groups: dict[str, Range]
    trainings: int = 0


@dataclass(frozen=True)
class Difference:
    """The scores of a first arm minus those of a second arm, with intervals.

    `mean`: the difference of the means over all benchmarks. `tasks`: benchmark -> difference. `groups`: name of a group
    of benchmarks -> difference of the means over the group. `replicates`: the number of training runs of each arm.
    `over_trainings`: whether the intervals include training noise. If false, the intervals are over items and hold for
    these trained models only. `family`: benchmark -> p-value, before Holm's correction. `claims`: whether a table may
    mark significant differences with a star. `claims` is true if both arms were trained at least twice and training
    noise was estimated, or if the caller set `items_only`. `resamples`: the number of resamples. It is 0 if nothing was
    resampled. `clustered`: benchmark -> number of clusters of items, if whole clusters are resampled.
    """

    mean: Interval
    tasks: dict[str, Interval]
    resamples: int
    level: float
    replicates: tuple[int, int]
    over_trainings: bool
    claims: bool
    family: dict[str, float]
    groups: dict[str, Interval] = field(default_factory=dict)
    clustered: dict[str, int] = field(default_factory=dict)


def paired_bootstrap(
    first: Mapping[str, Outcomes],
    second: Mapping[str, Outcomes],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
    groups: Mapping[str, Sequence[str]] | None = None,
    items_only: bool = False,
) -> Difference:
    """Return the scores of the first arm minus those of the second, with intervals. `first` and `second`: benchmark ->
    the arm's outcomes. `groups`: named groups of benchmarks. The means over each group are compared as well.

    If there are enough training runs (see the module's docstring) and `items_only` is false, the intervals are over
    items and training runs. Otherwise, they come from a bootstrap over items. Items of the two arms are paired by their
    `doc_id`, so their order does not matter. Training runs are not paired. Swapping the arms changes only the sign of
    every difference.

    Raises EvalError if the arms have different benchmarks, items or clusters of items. The message gives the counts.
    """
    tables = matched(first, second)
    counts = len(replicates_of(first)), len(replicates_of(second))
    found = between(
        tables, counts, resamples=resamples, seed=seed, level=level, groups=groups or {}, items_only=items_only
    )
    clustered = {task: drawn for task, one in first.items() if (drawn := one.clusters_drawn) is not None}
    return replace(found, clustered=clustered)


def between(
    tables: Mapping[str, Table],
    counts: tuple[int, int],
    *,
    resamples: int,
    seed: int,
    level: float,
    groups: Mapping[str, Sequence[str]],
    items_only: bool,
) -> Difference:
    """Return the scores of a first arm minus those of a second, with intervals. `tables`: the outcomes of both arms by
    item, as the function `matched` returns them. The result is the same as that of `paired_bootstrap`, but without the
    attribute `clustered`.

    `counts`: the number of training runs of each arm. The first counts[0] columns of a table belong to the first arm,
    the other columns to the second.
    """
    _check(resamples, level)
    over_trainings = not items_only and known(*counts)
    edges = {task: edge(table, counts[0], level, share=False) for task, table in tables.items()}
    interval: Callable[[Sequence[str]], Interval]
    if over_trainings:
        parts = _parts(tables, counts[0], edges)
        interval = _estimated(parts, level)
        family = {task: estimate(one).tail_p for task, one in parts.items()}
    else:
        interval = _resampled(tables, counts[0], edges, resamples, seed, level)
        family = {task: max(interval([task]).p, _clusters_p(table, counts[0])) for task, table in tables.items()}
    return Difference(
        mean=interval(sorted(tables)),
        tasks={task: interval([task]) for task in tables},
        level=level,
        resamples=0 if over_trainings else resamples,
        replicates=counts,
        over_trainings=over_trainings,
        claims=items_only or (over_trainings and min(counts) > 1),
        family=family,
        groups={name: interval(tasks) for name, tasks in groups.items()},
    )


def level_of(
    arm: Mapping[str, Outcomes],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
    groups: Mapping[str, Sequence[str]] | None = None,
    items_only: bool = False,
    share: bool = True,
) -> Level:
    """Return the scores of one arm with their intervals. If the arm has at least three training runs and `items_only`
    is false, the intervals are over items and training runs. Otherwise, they are over items only. `share`: true if the
    outcomes are between 0 and 1, false if they are differences."""
    _check(resamples, level)
    count = len(replicates_of(arm))
    over_trainings = not items_only and known(count, None)
    tables = {task: table_of(one) for task, one in arm.items()}
    edges = {task: edge(table, count, level, share=share) for task, table in tables.items()}
    parts = _parts(tables, count, edges) if over_trainings else {}
    drawn = None if over_trainings else _resampled(tables, count, edges, resamples, seed, level)

    def interval(tasks: Sequence[str]) -> Range:
        if drawn is not None:
            found = drawn(tasks)
            return Range(found.value, max(0.0, found.low) if share else found.low, found.high)
        whole = estimate(mean_of([parts[task] for task in tasks]))
        if share and len(tasks) == 1:
            n = effective(whole.value, whole.variance, len(tables[tasks[0]].outcomes))
            return Range(whole.value, *wilson(whole.value, n, student(level, whole.df)))
        return Range(whole.value, *around(whole, level, 0.0 if share else -1.0))

    named = {name: interval(tasks) for name, tasks in (groups or {}).items()}
    each = {task: interval([task]) for task in arm}
    return Level(interval(sorted(arm)), each, named, count if over_trainings else 0)


def with_noise(reach: float, noise: float, level: float) -> float:
    """Return the half width that the interval of a difference would have if it included the training noise of both
    arms. `reach`: the half width of the interval over items, which leaves this noise out. `noise`: the standard
    deviation of an arm's mean score between training runs, in the unit of `reach`."""
    return math.hypot(reach, normal(level) * math.sqrt(2) * noise)


def _check(resamples: int, level: float) -> None:
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(f"resamples={resamples} and level={level}: expected at least 1, and between 0 and 1")


def _parts(tables: Mapping[str, Table], count: int, edges: Mapping[str, Edge | None]) -> dict[str, Parts]:
    """Return the parts by benchmark. If nearly all outcomes of a benchmark are equal, its variance over items is
    increased (edges.py)."""
    found = {task: measure(table, count) for task, table in tables.items()}
    return {
        task: replace(one, items=one.items + (at.extra if (at := edges[task]) else 0.0)) for task, one in found.items()
    }


def _clusters_p(table: Table, count: int) -> float:
    """Return the p-value of a difference by Student's t, for items in clusters. Resampling gives too small a p-value if
    there are few clusters. Return 0 if the table has no clusters."""
    if table.member is None:
        return 0.0
    parts = measure(table, count)
    return Estimate(parts.value, parts.items, parts.items_df, seen=0.0, seen_df=1.0, luck=0.0).p


def _estimated(parts: Mapping[str, Parts], level: float) -> Callable[[Sequence[str]], Interval]:
    """A function that takes benchmarks and returns the interval of their mean, over items and training runs."""

    def interval(tasks: Sequence[str]) -> Interval:
        found = estimate(mean_of([parts[task] for task in tasks]))
        return Interval(found.value, *around(found, level, -1.0), found.p, found.df)

    return interval


def _resampled(
    tables: Mapping[str, Table], count: int, edges: Mapping[str, Edge | None], resamples: int, seed: int, level: float
) -> Callable[[Sequence[str]], Interval]:
    """A function that takes benchmarks and returns the bootstrap interval of their mean, over items."""
    values, drawn = resampling.resample(tables, count, resamples, seed)
    z = normal(level)

    def interval(tasks: Sequence[str]) -> Interval:
        value, found = resampling.over(tasks, values, drawn)
        at = edges[tasks[0]] if len(tasks) == 1 else None
        if at is not None:
            return Interval(value, at.low, at.high, at.p)
        low, high = resampling.quantiles(found, level)
        p = resampling.p_value(found)
        extra = sum(one.extra for task in tasks if (one := edges[task])) / len(tasks) ** 2
        if not extra:
            return Interval(value, low, high, p)
        error = math.sqrt(float(found.var()) + extra)
        low, high = (
            value - math.hypot(value - low, z * math.sqrt(extra)),
            value + math.hypot(high - value, z * math.sqrt(extra)),
        )
        return Interval(value, max(-1.0, low), min(1.0, high), max(p, 2 * NormalDist().cdf(-abs(value) / error)))

    return interval


def around(found: Estimate, level: float, least: float) -> tuple[float, float]:
    """Return the two ends of the interval around an estimate. The interval is symmetric, but it is clipped to the
    possible values of the statistic. `least`: the lowest possible value, e.g. 0 or -1. The highest possible value is
    1."""
    reach = found.reach(level)
    return max(least, found.value - reach), min(1.0, found.value + reach)
