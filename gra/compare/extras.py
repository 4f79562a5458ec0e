"""Makes further sheets of a comparison: contrasts of any arms, scores by several readings of the same replies, the
paper's rows and claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gra.compare.best import best
from gra.compare.options import Options, PaperOptions
from gra.compare.paper import benchmarks, beside, layout, opendataarena
from gra.compare.paper.command import judged_sheets, paper_evidence
from gra.compare.paper.evidence import PaperEvidence
from gra.compare.paper.hints import hints
from gra.compare.paper.runs import RunsEvidence, rows_of
from gra.compare.power_sheet import measured
from gra.compare.reading.evaluated import REREAD, Evaluated
from gra.compare.statistics.bootstrap import Interval
from gra.compare.statistics.contrasts import Contrast, contrast, parse, shared
from gra.compare.statistics.power import detectable
from gra.compare.tables.csv_export import OVER
from gra.compare.tables.numbers import interval, percent, points
from gra.compare.tables.sheet import SUFFIX, WRITTEN, Sheet, render
from gra.errors import EvalError
from gra.paths import paper_dir

READINGS = {
    "strict": "strict",
    "opencompass": "OpenCompass",
    "tolerant": "tolerant",
}  # and "verified", where an arm has it


def extras(evaluated: Evaluated, reference: str, options: Options) -> dict[str, list[Sheet]]:
    """Return the further tables (sheets) that `options` ask for, by file name without ending.

    If there is nothing to show, a sheet is left out. Raises ConfigError for contrasts or rows that do not exist, and
    EvalError if arms were evaluated on different items.
    """
    labels = {name: group[0].label for name, group in evaluated.groups.items()}
    found: dict[str, list[Sheet]] = {}
    if options.contrasts:
        found["contrasts"] = [contrasts(evaluated, options)]
    if options.best:
        found["best"] = [best(evaluated, options)]
    if any(scored[reading] for reading in REREAD for scored in evaluated.scored.values()):
        found["readings"] = [readings(evaluated, reference, options, labels)]
    if options.power is not None:
        found["power"] = [measured(evaluated, reference, options.power / 100, options.level)]
    if options.paper is not None:
        found |= papers(evaluated, options, options.paper, labels)
    return {
        name: [replace(sheet, name=name if not place else f"{name}-{place + 1}") for place, sheet in enumerate(sheets)]
        for name, sheets in found.items()
    }


def texts(further: Mapping[str, list[Sheet]]) -> dict[str, str]:
    """Return a mapping from file name to content, with a Markdown, a LaTeX and a CSV file for each list of sheets.

    The CSV file holds only the last sheet of the list.
    """
    return {
        f"{name}.{SUFFIX[form]}": render(sheets[-1:] if form == "csv" else sheets, form)
        for name, sheets in further.items()
        for form in WRITTEN
    }


def contrasts(evaluated: Evaluated, options: Options) -> Sheet:
    """Return a sheet with the contrasts in `options`. A contrast is a difference between arms, such as A-B.

    It is computed from strict scores. The sheet has a line for each benchmark and one for their mean. Each line has the
    interval and the smallest difference that could be detected.
    """
    names = [name for name, scored in evaluated.scored.items() if scored["strict"]]
    strict = {name: evaluated.scored[name]["strict"] for name in names}
    made = []
    for text in options.contrasts:
        weights = parse(text, names)
        difference = contrast(strict, weights, **_bootstrap(options))
        made.append(Contrast(text, weights, difference, tuple(shared(strict, list(weights)))))
    return contrast_sheet(made, options.level, any(evaluated.simulated(name) for one in made for name in one.weights))


def contrast_sheet(made: Sequence[Contrast], level: float, simulated: bool) -> Sheet:
    """Return a sheet with the contrasts in `made`, which are differences between arms.

    Each contrast has a line for each benchmark that its arms share. If there are several, a further line has their
    mean.
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


def readings(evaluated: Evaluated, reference: str, options: Options, labels: Mapping[str, str]) -> Sheet:
    """Return a sheet with each arm's mean score by several readings. A reading is a set of rules by which replies are
    scored.

    The sheet has a row for each arm. The row has two cells for each reading: the arm's mean score, and the mean score
    of the arm `reference` minus this score.
    """
    lines, records = [], []
    verified = any(scored["verified"] for scored in evaluated.scored.values())
    shown = READINGS | ({"verified": "verified"} if verified else {})
    for name, label in labels.items():
        cells: list[str] = []
        record: dict[str, object] = {"arm": name, "label": label, "simulated": evaluated.simulated(name)}
        for kind in shown:
            value = _mean(evaluated, name, kind)
            found = _difference(evaluated, reference, name, kind, options)
            cells += [percent(value), "reference" if name == reference else interval(found)]
            record |= {kind: value, f"{kind}.difference": found.value if found else None}
            record |= {f"{kind}.low": found.low if found else None, f"{kind}.high": found.high if found else None}
        lines.append([label, *cells])
        records.append(record)
    heads = [words for kind in shown.values() for words in (f"Mean, {kind}", f"Reference minus arm, {kind}")]
    note = (
        f"Means over the benchmarks in percent, by {'four' if verified else 'three'} readings of the same replies: strict, "
        "the form that the task asks for; OpenCompass's rules, by which the paper's numbers were read; tolerant, any clear "
        f"form{'; verified, the verdicts of a verifier model' if verified else ''}. A dash: not read so."
    )
    return Sheet("Readings of the same replies", ("Arm", *heads), lines, [note], records)


def papers(
    evaluated: Evaluated, options: Options, wanted: PaperOptions, labels: Mapping[str, str]
) -> dict[str, list[Sheet]]:
    """Return the sheets that compare the arms with the paper, by file name without ending.

    `table1` and `paper` show the scores of the arms beside the paper's. `claims` shows which of the paper's claims hold
    for the arms.
    """
    paper = paper_evidence()
    runs = _runs(evaluated, options, wanted, paper)
    entries = opendataarena.load(paper_dir() / "opendataarena.csv")
    simulated = any(evaluated.simulated(arm) for arm in runs.rows.values())
    title = "The paper's claims, judged by these runs"
    source = (
        f"Judged: {', '.join(f'{arm} as {key}' for key, arm in runs.rows.items())}. Intervals "
        f"({100 * options.level:g} %) are paired over items, and over training runs where there are enough."
    )
    if simulated:
        title, source = f"{title} (simulated)", f"Simulated: the numbers say nothing about real models. {source}"
    records = beside.records(runs, paper, entries, labels)
    return {
        "table1": [layout.sheet(records)],
        "paper": [beside.sheet(records, runs, paper)],
        "claims": judged_sheets(runs, title, source),
    }


def paper_hints(evaluated: Evaluated, options: Options, given_by: tuple[str, str]) -> list[str]:
    """Return hints about arms and tasks that the paper's tables do not have.

    `given_by`: how the user chooses a row of these tables for an arm: FLAGS or KEYS of paper/hints.py.
    """
    if options.paper is None:
        return []
    runs = _runs(evaluated, options, options.paper, paper_evidence())
    return hints(evaluated, runs.rows, runs.columns, options.paper.block, given_by)


def _runs(evaluated: Evaluated, options: Options, wanted: PaperOptions, paper: PaperEvidence) -> RunsEvidence:
    return RunsEvidence(
        evaluated,
        rows_of(list(evaluated.groups), wanted.block, wanted.rows),
        benchmarks.columns(paper.benchmarks, evaluated.tasks, wanted.columns),
        paper.benchmarks,
        _bootstrap(options),
    )


def _bootstrap(options: Options) -> dict[str, Any]:
    names = ("resamples", "seed", "level", "items_only")
    return {name: getattr(options, name) for name in names}


def _mean(evaluated: Evaluated, name: str, kind: str) -> float | None:
    """Return the arm's mean over all benchmarks by the reading `kind`; None if the arm lacks a benchmark."""
    scored = evaluated.scored[name][kind]
    if not evaluated.tasks or set(scored) != set(evaluated.tasks):
        return None
    return sum(float(one.correct.mean()) for one in scored.values()) / len(scored)


def _difference(evaluated: Evaluated, reference: str, name: str, kind: str, options: Options) -> Interval | None:
    """Return the reference minus the arm, by the reading `kind`; None for the reference itself, or if one of the two
    lacks a benchmark."""
    sides = {one: evaluated.scored[one][kind] for one in (reference, name)}
    if name == reference or any(set(side) != set(evaluated.tasks) or not side for side in sides.values()):
        return None
    try:
        return contrast(sides, {reference: 1.0, name: -1.0}, **_bootstrap(options)).mean
    except EvalError as error:
        raise EvalError(f"Arms {reference} and {name} cannot be compared: {error}") from error


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
