"""Compares the arms of an experiment: writes tables (.md, .csv, .tex) and report.html. Reads the folders of the stages,
but imports no stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gra.compare.arms import Arm, check_arms
from gra.compare.optional_sheets import optional_sheets, texts
from gra.compare.options import Options
from gra.compare.paper.claims_sheet import run_only
from gra.compare.paper.hints import KEYS
from gra.compare.paper.sheets import paper_hints
from gra.compare.reading.evaluated import read
from gra.compare.report import page as report
from gra.compare.tables import csv_export, table
from gra.compare.tables.rows import build
from gra.compare.tables.sheet import render
from gra.compare.written import told, write_sheets
from gra.errors import ConfigError
from gra.fileio import write_text
from gra.settings import parse


def compare(arms: Sequence[Arm], *, title: str, reference: str, output: Path, options: Mapping[str, Any]) -> str:
    """Compare the arms of an experiment, and return the table as text for a terminal.

    The table and a report are also written to the folder `output`, as table.md, table.csv, table.tex and report.html.
    Arms with the same name form one row of the table and must have different values of `replicate`. If a step is not
    finished, the table shows "-" in place of the missing values.

    `reference`: the name of the arm that the others are compared with.
    `options`: see `gra.compare.options.Options`.

    Raises ConfigError for wrong arms or options, and StoreError if a folder cannot be read. Raises EvalError if arms
    were evaluated on different items, or if the files of a scores folder do not fit together.
    """
    settings, problems = parse(Options, options, "compare")
    problems += check_arms(arms, reference)
    if settings is None or problems:
        raise ConfigError(problems)
    evaluated = read(arms, reference)
    comparison = build(
        arms,
        title=title,
        reference=reference,
        resamples=settings.resamples,
        level=settings.level,
        seed=settings.seed,
        items_only=settings.items_only,
        evaluated=evaluated,
    )
    page = report.render(comparison, arms, settings.samples, draw=settings.map)
    write_text(output / "table.md", table.markdown(comparison))
    write_text(output / "table.tex", render(table.sheets(comparison), "latex"))
    write_text(output / "table.csv", csv_export.csv_text(comparison))
    write_text(output / "report.html", page)
    further = optional_sheets(evaluated, reference, settings)
    removed = write_sheets(output, texts(further))
    listed = f"They are in {output / 'claims.md'}."
    shown = [
        sheet
        for name, sheets in further.items()
        for sheet in (run_only(sheets, listed) if name == "claims" else sheets)
    ]
    text = table.terminal(comparison, settings.width)
    text += "\n" + render(shown, "terminal", settings.width) if shown else ""
    lines = [*paper_hints(evaluated, settings, KEYS), *told(output, removed)]
    return text + "".join(f"{line}\n" for line in lines)
