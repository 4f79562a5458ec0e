"""Makes the sheet of contrasts, which are differences between any arms (`compare.contrasts`, --contrast)."""

from __future__ import annotations

from collections.abc import Sequence

from gra.compare.options import Options
from gra.compare.reading.evaluated import Evaluated
from gra.compare.statistics.bootstrap import Interval
from gra.compare.statistics.contrasts import Contrast, contrast, parse, shared
from gra.compare.statistics.power import detectable
from gra.compare.tables.csv_export import OVER
from gra.compare.tables.numbers import interval, points
from gra.compare.tables.sheet import Sheet


def contrasts(evaluated: Evaluated, options: Options) -> Sheet:
    """Return a table of the contrasts in `options`. A contrast is a difference between arms, such as A-B.

    Contrasts are computed from strict scores, which count only right answers in the requested format. For each
    contrast, the table has a row for each benchmark and, if there are several benchmarks, a row for their mean. Each
    row has the interval and the smallest difference that could be detected.
    """
    names = [name for name, scored in evaluated.scored.items() if scored["strict"]]
    strict = {name: evaluated.scored[name]["strict"] for name in names}
    made = []
    for text in options.contrasts:
        weights = parse(text, names)
        difference = contrast(strict, weights, **options.bootstrap)
        made.append(Contrast(text, weights, difference, tuple(shared(strict, list(weights)))))
    return contrast_sheet(made, options.level, any(evaluated.simulated(name) for one in made for name in one.weights))


def contrast_sheet(made: Sequence[Contrast], level: float, simulated: bool) -> Sheet:
    """Return a table of contrasts, which are differences between arms.

    Each contrast has a row for each benchmark that its arms share. If there are several, a further row has their mean.
    `made`: the contrasts, already computed.
    """
    lines, records = [], []
    for one in made:
        over = OVER[one.difference.over_trainings]
        words = over.replace("trainings", "training runs")
        several = {f"mean of {len(one.tasks)}": one.difference.mean} if len(one.tasks) > 1 else {}
        for name, found in {**several, **{task: one.difference.tasks[task] for task in one.tasks}}.items():
            least = detectable(found, level)
            lines.append([one.name, name, interval(found), points(least).removeprefix("+"), f"{found.p:.4f}", words])
            records.append(_record(one, name, found, least, over, simulated))
    notes = [
        f"Points, with {100 * level:g} % intervals: a sum of arms is their mean, and all arms share the items "
        "that are drawn. Detectable: the smallest true difference at which such an interval excludes 0 four times "
        "in five. p is not adjusted for the number of lines. The interval says nothing about a further seed set or arm."
    ]
    if simulated:
        notes.append("Simulated: the numbers say nothing about real models.")
    headings = ("Contrast", "Benchmark", "Difference", "Detectable", "p", "Interval over")
    return Sheet("Contrasts (simulated)" if simulated else "Contrasts", headings, lines, notes, records, words=2)


def _record(one: Contrast, name: str, found: Interval, least: float, over: str, simulated: bool) -> dict[str, object]:
    return {
        "contrast": one.name,
        "benchmark": name,
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "detectable": least,
        "over": over,
        "simulated": simulated,
    }
