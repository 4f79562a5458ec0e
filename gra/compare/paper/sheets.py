"""Makes the sheets that compare arms with the paper (`compare.paper`, --paper), and hints about what they leave out."""

from __future__ import annotations

from collections.abc import Mapping

from gra.compare.options import Options, PaperOptions
from gra.compare.paper import benchmarks, beside, layout, opendataarena
from gra.compare.paper.command import judged_sheets, paper_evidence
from gra.compare.paper.evidence import PaperEvidence
from gra.compare.paper.hints import hints
from gra.compare.paper.runs import RunsEvidence, rows_of
from gra.compare.reading.evaluated import Evaluated
from gra.compare.tables.sheet import Sheet
from gra.paths import paper_dir


def papers(
    evaluated: Evaluated, options: Options, wanted: PaperOptions, labels: Mapping[str, str]
) -> dict[str, list[Sheet]]:
    """Return a mapping from a file's name (without its ending) to the sheets (tables) in this file. The sheets compare
    the arms with the paper.

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

    `given_by`: the two options with which the user chooses a row of these tables for an arm and a column for a task.
    The hints mention these options. Pass FLAGS of paper/hints.py for a command line, and KEYS of the same file for an
    experiment's config.
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
        options.bootstrap,
    )
