"""Formats the table of a comparison as terminal text and GitHub Markdown; csv_export.py formats it as CSV. A missing
value is "-", never 0."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

from gra.compare.statistics.power import detectable
from gra.compare.tables.blocks import Column, blocks, rich_table
from gra.compare.tables.data_columns import SHOWN
from gra.compare.tables.data_columns import Column as DataColumn
from gra.compare.tables.notes import has_data
from gra.compare.tables.notes import label as label
from gra.compare.tables.notes import notes as notes
from gra.compare.tables.notes import over as over
from gra.compare.tables.notes import plain as plain
from gra.compare.tables.notes import starred as starred
from gra.compare.tables.numbers import MISSING, REFERENCE, count, interval, percent, span
from gra.compare.tables.rows import Comparison, TableRow
from gra.compare.tables.sheet import Sheet, has_value, render

# -- cells ------------------------------------------------------------------------------------------------------------


def mean_cell(row: TableRow) -> str:
    """Return the arm's mean over benchmarks, with the standard deviation over its replicates if it has several."""
    return percent(row.mean) if row.spread is None else f"{percent(row.mean)} ±{percent(row.spread)}"


def detectable_cell(row: TableRow, comparison: Comparison) -> str:
    """Return the minimum detectable effect in points. This is the smallest true difference from the reference that is
    detected in four of five comparisons. A difference is detected if its interval excludes 0."""
    found = row.mean_difference("strict")
    return MISSING if found is None else f"{100 * detectable(found, comparison.level):.1f}"


def difference_cell(row: TableRow) -> str:
    """Return the reference's mean minus this arm's mean, with its interval. In the reference's own row, return the word
    "reference"."""
    return REFERENCE if row.reference else interval(row.mean_difference("strict"))


def names(tasks: Sequence[str]) -> dict[str, str]:
    """Return a short name of each benchmark for headings. It lacks the prefix that all names have in common, such as
    "world_"."""
    same = 0
    for characters in zip(*tasks, strict=False):
        if len(set(characters)) > 1:
            break
        same += 1
    cut = tasks[0][:same].rfind("_") + 1 if len(tasks) > 1 else 0
    return {task: task[cut:] or task for task in tasks}


# -- the two tables, as text cells ------------------------------------------------------------------------------------


FORM = {
    "strict": "strict",
    "tolerant": "tolerant",
    "form": "form",
    "extraction": "extracted",
}  # kind -> its word in headings


def data_columns(comparison: Comparison) -> list[DataColumn]:
    """Return the columns on training data in which at least one arm has a value. For example, if no arm was audited,
    "Wrong %" is left out."""
    return [column for column in SHOWN if any(row.facts.values[column.name] is not None for row in comparison.rows)]


def data_headings(comparison: Comparison) -> tuple[str, ...]:
    """Return the headings of the table on training data; `data_cells` returns its lines."""
    return ("Arm", *(column.heading for column in data_columns(comparison)))


def data_cells(row: TableRow, comparison: Comparison) -> list[str]:
    """Return the arm's line in the table on training data. It has the arm's label and its value in each column of
    `data_columns`."""
    return [
        label(row, comparison),
        *(column.show(row.facts.values[column.name]) for column in data_columns(comparison)),
    ]


def score_cells(row: TableRow, tasks: Sequence[str], comparison: Comparison) -> list[str]:
    """Return the arm's score on each benchmark in `tasks`. A score that differs significantly from the reference's has
    a star (see `notes.starred`)."""
    return [
        percent(row.cells[task].value if task in row.cells else None) + ("*" if starred(row, task, comparison) else "")
        for task in tasks
    ]


def form_headings(comparison: Comparison) -> list[str]:
    """Return the headings of a table that separates two causes of score differences: the format of the answers and
    their content. The function `form_cells` returns an arm's line of this table."""
    return [
        "Arm",
        f"Mean, {100 * comparison.level:g} %",
        "Tolerant",
        "Extracted %",
        *(f"{comparison.difference_heading}, {words}" for words in FORM.values()),
    ]


def form_cells(row: TableRow, comparison: Comparison) -> list[str]:
    """Return the arm's line in the table that has the headings `form_headings`."""
    compared = [interval(row.mean_difference(kind)) for kind in FORM]
    return [
        label(row, comparison),
        span(row.interval),
        percent(row.tolerant),
        percent(row.extraction),
        *([REFERENCE] * len(compared) if row.reference else compared),
    ]


TASK_HEADINGS = (
    "Benchmark",
    "Items",
    "Strict",
    "Tolerant",
    "Extracted %",
    *(f"Difference, {words}" for words in FORM.values()),
)


def task_cells(row: TableRow, tasks: Sequence[str]) -> list[list[str]]:
    """Return one table line for each benchmark in `tasks`, with the arm's scores on this benchmark. The headings of the
    columns are TASK_HEADINGS, but the first column (the benchmark's name) is left out."""
    lines = []
    for task in tasks:
        cell = row.cells.get(task)
        found = [row.differences[kind].tasks.get(task) if kind in row.differences else None for kind in FORM]
        lines.append(
            [
                count(cell.n if cell else None),
                span(cell.interval if cell else None),
                percent(cell.tolerant if cell else None),
                percent(cell.extraction if cell else None),
                *map(interval, found),
            ]
        )
    return lines


# -- terminal ---------------------------------------------------------------------------------------------------------


def terminal(comparison: Comparison, width: int = 120) -> str:
    """Return the table as text whose lines have at most `width` characters. If benchmarks do not fit, further tables
    below show them."""
    from rich.console import Console
    from rich.text import Text

    buffer = io.StringIO()
    console = Console(
        file=buffer, width=width, color_system=None, force_terminal=False, legacy_windows=False, emoji=False
    )
    console.print(Text(plain(comparison.heading)))
    for block in blocks(*_scores(comparison), console):
        console.print(block)
    if form := _form_sheet(comparison):
        columns = [(heading, [line[place] for line in form.lines]) for place, heading in enumerate(form.headings)]
        for block in blocks(columns[0], [[column] for column in columns[1:]], console):
            console.print(block)
    if has_data(comparison):
        console.print(
            rich_table(data_headings(comparison), [data_cells(row, comparison) for row in comparison.rows], width)
        )
    for line in notes(comparison):
        console.print(Text(line))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _scores(comparison: Comparison) -> tuple[Column, list[list[Column]]]:
    """The arms' names, and the columns of scores; columns that stay together (the mean and its difference) share a
    list."""
    shown = names(comparison.tasks)
    columns = [
        [(plain(shown[task]).replace("_", " "), [score_cells(row, [task], comparison)[0] for row in comparison.rows])]
        for task in comparison.tasks
    ]
    closing = [
        ("mean", [mean_cell(row) for row in comparison.rows]),
        (plain(comparison.difference_heading), [difference_cell(row) for row in comparison.rows]),
        ("detectable", [detectable_cell(row, comparison) for row in comparison.rows]),
    ]
    shown_closing = [column for column in closing if has_value(column[1]) or not comparison.scored]
    return ("Arm", [label(row, comparison) for row in comparison.rows]), [*columns, shown_closing]


def _form_sheet(comparison: Comparison) -> Sheet | None:
    """Return the table with the headings `form_headings`, without the columns in which no arm has a value. Return None
    if no arm has scores."""
    lines = [form_cells(row, comparison) for row in comparison.rows]
    return Sheet("", tuple(form_headings(comparison)), lines).filled() if comparison.scored else None


# -- markdown ---------------------------------------------------------------------------------------------------------


def sheets(comparison: Comparison) -> list[Sheet]:
    """Return the comparison as up to three sheets (tables). The first has the scores by benchmark. The second has the
    tolerant scores, which accept answers in any format that can be recognised, and the effect of the answers' format.
    The second sheet is left out if no arm has scores. The third has facts on the training data and their cost. The
    third sheet is left out if no such fact is known. The last sheet also has the notes."""
    shown = names(comparison.tasks)
    scores = Sheet(
        comparison.heading,
        ("Arm", *(shown[task] for task in comparison.tasks), "Mean", comparison.difference_heading, "Detectable"),
        [
            [
                label(row, comparison),
                *score_cells(row, comparison.tasks, comparison),
                mean_cell(row),
                difference_cell(row),
                detectable_cell(row, comparison),
            ]
            for row in comparison.rows
        ],
        name="table",
    )
    found = [scores.filled() if comparison.scored else scores]
    if form := _form_sheet(comparison):
        found.append(form)
    if has_data(comparison):
        found.append(Sheet("", data_headings(comparison), [data_cells(row, comparison) for row in comparison.rows]))
    return [*found[:-1], replace(found[-1], notes=notes(comparison))]


def markdown(comparison: Comparison) -> str:
    """Return the table as GitHub Markdown, with the sheets that `sheets` returns."""
    return render(sheets(comparison), "markdown")
