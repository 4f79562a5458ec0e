"""Shows what a comparison can detect: for each number of training runs, the smallest detectable effect; for a given
effect, how many training runs and items are needed to detect it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gra.compare.paper import benchmarks, tables
from gra.compare.reading.evaluated import Evaluated
from gra.compare.statistics import power
from gra.compare.statistics.item_scores import Outcomes, matched
from gra.compare.statistics.power import Design
from gra.compare.tables.numbers import MISSING
from gra.compare.tables.sheet import Sheet
from gra.errors import ConfigError, EvalError, Problem
from gra.paths import paper_dir

TRAININGS = (1, 2, 3, 4, 5, 8, 10)
NOISES = (0.0, 0.005, 0.01, 0.02)


def sheet(design: Design, wanted: float, given: str) -> Sheet:
    """Return a table that shows which differences a comparison with the given design can detect.

    `wanted`: the difference to detect, from 0 to 1 (0.02 is two points). `given`: a note that says where the numbers in
    `design` come from.
    """
    lines = []
    records = []
    for trainings in TRAININGS:
        noises = NOISES if trainings > 1 else NOISES[:1]
        own = [
            Design(design.items, design.share, design.between, design.within, noise, design.level) for noise in noises
        ]
        cells = [_points(power.effect(one, trainings)) for one in own]
        lines.append([f"{trainings}", *cells, *[MISSING] * (len(NOISES) - len(cells))])
        for noise, one in zip(noises, own, strict=True):
            factor = power.items_needed(one, trainings, wanted)
            effect = power.effect(one, trainings)
            records.append({"trainings": trainings, "noise": noise, "detectable": effect, "items_factor": factor})
    needed = [_needed(design, noise, wanted) for noise in NOISES]
    lines.append([f"needed for {100 * wanted:g}", *needed])
    heads = [f"Noise {100 * noise:g}" for noise in NOISES]
    notes = [
        f"The smallest true difference in the mean over {len(design.items)} benchmarks ({sum(design.items):,} "
        f"items) that is detected four times in five at the {100 * (1 - design.level):g} % level, in points, by the "
        "number of training runs of each arm and the training noise (standard deviation of an arm's mean between "
        "training runs, in points); none: not even 100 points. One training run: over items only, for these two models. "
        f"Last line: training runs of each arm that detect {100 * wanted:g} points; in brackets by how many times the items "
        "must grow (or may shrink) with five training runs.",
        given,
        "Formula and sources: gra/compare/statistics/power.py.",
    ]
    return Sheet("What the comparison can see", ("Training runs of each arm", *heads), lines, notes, records)


def _points(effect: float) -> str:
    """The effect in points; scores differ by 100 at most."""
    return f"{100 * effect:.1f}" if effect <= 1 else "none"


def planned(items: Mapping[str, int], share: Mapping[str, float], wanted: float, level: float) -> Sheet:
    """Return the table for a comparison that has not been run yet. `items`: benchmark -> number of items. `share`:
    benchmark -> expected fraction of right answers. `wanted`: the difference to detect, from 0 to 1."""
    design = Design(list(items.values()), [share[name] for name in items], level=level)
    given = (
        f"Assumed: answers of two arms correlate by {design.between:g} over items, those of two training runs "
        f"of one arm by {design.within:g}; about as many right answers as in the paper's Table 1, half where it "
        "has no such benchmark. After a first run, `gra compare FOLDER FOLDER --power` measures them."
    )
    return sheet(design, wanted, given)


def measured(evaluated: Evaluated, reference: str, wanted: float, level: float) -> Sheet:
    """Return the table for finished evaluations. Its correlations and fractions of right answers are measured on two
    arms, the reference and the first other arm. `wanted`: the difference to detect, from 0 to 1."""
    names = [name for name, scored in evaluated.scored.items() if scored["strict"] and name != reference]
    first = evaluated.scored[reference]["strict"]
    tasks = [task for task in first if names and task in evaluated.scored[names[0]]["strict"]]
    if not tasks:
        raise EvalError("--power needs two evaluated arms with a common benchmark\n    -> give two runs of one suite")
    second = {task: evaluated.scored[names[0]]["strict"][task] for task in tasks}
    one = {task: first[task] for task in tasks}
    items = [len(one[task].doc_ids) for task in tasks]
    share = [float((one[task].correct.mean() + second[task].correct.mean()) / 2) for task in tasks]
    between, within = correlations(one, second)
    design = Design(items, share, between, max(between, within if within is not None else 1.0), level=level)
    runs = [len(next(iter(arm.values())).replicates) for arm in (one, second)]
    why = "as each arm was trained once" if max(runs) == 1 else "as no two items of a benchmark have different outcomes"
    known = (
        f"{within:.2f} for two training runs of one arm"
        if within is not None
        else f"two training runs of one arm are assumed to answer alike, {why}"
    )
    return sheet(
        design,
        wanted,
        f"Measured on {reference} and {names[0]}: answers correlate by {between:.2f} over items; {known}. The table's column "
        "Detectable is of each arm's own interval: it has the training runs that there are (here "
        f"{runs[0]} and {runs[1]}), with the noise between them as measured, not the noise of a column of this sheet.",
    )


def correlations(first: Mapping[str, Outcomes], second: Mapping[str, Outcomes]) -> tuple[float, float | None]:
    """Return two correlations between answers (right or wrong) to the same items. The first is between the answers of
    the two arms, the second between the answers of two training runs of one arm.

    Both are pooled over benchmarks and clipped to 0..1. The second correlation is None if neither arm was trained
    twice, or if no benchmark has items with different outcomes.
    """
    whole, shared, own = 0.0, 0.0, []
    counts = [len(next(iter(arm.values())).replicates) for arm in (first, second)]
    for table in matched(first, second).values():
        products = np.atleast_2d(np.cov(table.outcomes.T))
        sides = [slice(0, counts[0]), slice(counts[0], sum(counts))]
        whole += float(np.diag(products).mean())
        shared += float(products[sides[0], sides[1]].mean())
        within = [_off_diagonal(products[side, side]) for side, count in zip(sides, counts, strict=True) if count > 1]
        own += [sum(within) / len(within)] if within else []
    if whole <= 0:
        return 0.0, None
    between = min(1.0, max(0.0, shared / whole))
    return between, min(1.0, max(0.0, sum(own) / whole)) if own else None


def _off_diagonal(products: np.ndarray) -> float:
    count = len(products)
    return float((products.sum() - np.trace(products)) / (count * (count - 1)))


def _needed(design: Design, noise: float, wanted: float) -> str:
    one = Design(design.items, design.share, design.between, design.within, noise, design.level)
    count, factor = power.trainings_needed(one, wanted), power.items_needed(one, 5, wanted)
    words = f"more than {power.MOST}" if count is None else str(count)
    return f"{words} (x {factor:.2g})" if factor is not None else f"{words} (-)"


def for_suite(
    tasks: Sequence[str], limit: int | None, wanted: float, level: float, written: Mapping[str, int]
) -> Sheet:
    """Return the table for a suite of benchmarks that has not been run yet.

    `limit`: the maximum number of items of a task. `wanted`: the difference to detect, from 0 to 1. `written`: the
    benchmarks that the experiment itself writes -> their numbers of items. Raises ConfigError if the number of items of
    a task is unknown.
    """
    known = benchmarks.load(paper_dir() / "benchmarks.csv")
    rows = [row for row in tables.load(paper_dir()).values() if row.table == 1]
    items: dict[str, int] = {}
    share: dict[str, float] = {}
    for name, one in known.items():
        for task in (task for task in one.tasks if task in tasks):
            items[task] = min(one.own_items, limit or one.own_items)
            share[task] = sum(float(row.scores[name]) for row in rows) / len(rows) / 100
    for task in (task for task in tasks if task not in items):
        size = written.get(task, limit)
        if size is None:
            remedy = "set suite.limit, use the paper's benchmarks, or run `gra compare A B --power` on two finished runs (any task)"
            raise ConfigError([Problem("suite.tasks", f"the size of `{task}` is unknown", remedy)])
        items[task], share[task] = min(size, limit or size), 0.5
    return planned({task: items[task] for task in tasks}, share, wanted, level)
