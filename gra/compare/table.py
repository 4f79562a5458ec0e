"""The table for reading, as terminal text (rich) and as GitHub markdown (sheet.py: as CSV). Missing is "-", never 0."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gra.compare.notes import clear as clear
from gra.compare.notes import label as label
from gra.compare.notes import notes as notes
from gra.compare.notes import over as over
from gra.compare.notes import plain as plain
from gra.compare.numbers import count, interval, percent, short, span
from gra.compare.rows import Comparison, Row

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

WORD = 16  # characters of a heading's word before it is broken
Column = tuple[str, list[str]]  # a heading and its cells


# -- cells ------------------------------------------------------------------------------------------------------------


def mean_cell(row: Row) -> str:
    """The mean over benchmarks, with the standard deviation over replicates where there are several."""
    return percent(row.mean) if row.spread is None else f"{percent(row.mean)} ±{percent(row.spread)}"


def difference_cell(row: Row) -> str:
    """Reference minus this arm, or what stands there instead."""
    return "reference" if row.reference else interval(row.mean_difference("strict"))


def names(tasks: Sequence[str]) -> dict[str, str]:
    """Short names of benchmarks for headings: without the prefix that all share ("world_"), if what is left is distinct."""
    same = 0
    for letters in zip(*tasks, strict=False):
        if len(set(letters)) > 1:
            break
        same += 1
    cut = tasks[0][:same].rfind("_") + 1 if len(tasks) > 1 else 0
    return {task: task[cut:] or task for task in tasks}


# -- the two tables, as text cells ------------------------------------------------------------------------------------


FORM = {"strict": "strict", "tolerant": "tolerant", "form": "form", "extraction": "extracted"}  # kinds, as headings have them
DATA_HEADINGS = ("Arm", "Training samples", "Wrong %", "Tokens", "Tokens/sample", "FLOPs/sample")


def data_cells(row: Row, comparison: Comparison) -> list[str]:
    """The cells of DATA_HEADINGS for one arm."""
    facts = row.facts
    return [
        label(row, comparison), count(facts.samples), percent(facts.wrong_share), short(facts.tokens),
        short(facts.tokens_per_sample), short(facts.flops_per_sample),
    ]  # fmt: skip


def score_cells(row: Row, tasks: Sequence[str], comparison: Comparison) -> list[str]:
    """The values of one arm on `tasks`, with a mark where the difference from the reference is clear."""
    return [
        percent(row.cells[task].value if task in row.cells else None) + ("*" if clear(row, task, comparison) else "")
        for task in tasks
    ]  # fmt: skip


def form_headings(comparison: Comparison) -> list[str]:
    """Of the table that tells knowledge from the form of answers."""
    return [
        "Arm", f"Mean, {100 * comparison.level:g} %", "Tolerant", "Extracted %",
        *(f"{comparison.difference_heading}, {words}" for words in FORM.values()),
    ]  # fmt: skip


def form_cells(row: Row, comparison: Comparison) -> list[str]:
    """The cells of `form_headings` for one arm."""
    compared = [interval(row.mean_difference(kind)) for kind in FORM]
    return [
        label(row, comparison), span(row.interval), percent(row.tolerant), percent(row.extraction),
        *(["reference"] * len(compared) if row.reference else compared),
    ]  # fmt: skip


TASK_HEADINGS = ("Benchmark", "Items", "Strict", "Tolerant", "Extracted %", *(f"Difference, {words}" for words in FORM.values()))


def task_cells(row: Row, tasks: Sequence[str]) -> list[list[str]]:
    """Lines of TASK_HEADINGS: one arm by benchmark."""
    lines = []
    for task in tasks:
        cell = row.cells.get(task)
        found = [row.differences[kind].tasks.get(task) if kind in row.differences else None for kind in FORM]
        lines.append(
            [
                count(cell.n if cell else None), span(cell.interval if cell else None), percent(cell.tolerant if cell else None),
                percent(cell.extraction if cell else None), *map(interval, found),
            ]
        )  # fmt: skip
    return lines


# -- terminal ---------------------------------------------------------------------------------------------------------


def terminal(comparison: Comparison, width: int = 120) -> str:
    """The table as text of at most `width` columns; benchmarks that do not fit beside each other go into further blocks."""
    from rich.console import Console
    from rich.text import Text

    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None, force_terminal=False, legacy_windows=False, emoji=False)
    console.print(Text(plain(comparison.heading)))
    headings = form_headings(comparison)
    forms = [form_cells(row, comparison) for row in comparison.rows]
    columns = [[(heading, [cells[place] for cells in forms])] for place, heading in enumerate(headings)]
    for block in [*blocks(*_scores(comparison), console), *blocks(columns[0][0], columns[1:], console)]:
        console.print(block)
    console.print(rich_table(DATA_HEADINGS, [data_cells(row, comparison) for row in comparison.rows], width))
    for line in notes(comparison):
        console.print(Text(line))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _scores(comparison: Comparison) -> tuple[Column, list[list[Column]]]:
    """The arms' names, and the columns of scores; those that stand together (the mean and its difference) in one list."""
    shown = names(comparison.tasks)
    columns = [
        [(plain(shown[task]).replace("_", " "), [score_cells(row, [task], comparison)[0] for row in comparison.rows])]
        for task in comparison.tasks
    ]  # fmt: skip
    closing = [
        ("mean", [mean_cell(row) for row in comparison.rows]),
        (plain(comparison.difference_heading), [difference_cell(row) for row in comparison.rows]),
    ]
    return ("Arm", [label(row, comparison) for row in comparison.rows]), [*columns, closing]


def blocks(first: Column, groups: Sequence[list[Column]], console: Console) -> list[RichTable]:
    """Tables that fit the console, as many columns in each as it takes, `first` before all; those of a group stand together."""

    def drawn(block: Sequence[Column]) -> RichTable:
        parts = [first, *block]
        lines = zip(*(cells for _, cells in parts), strict=True)
        return rich_table([plain(heading) for heading, _ in parts], list(lines), console.width)

    unbounded = console.options.update(width=100_000)  # else a measure says that everything fits
    made: list[list[Column]] = [[]]
    for group in groups:
        if made[-1] and console.measure(drawn([*made[-1], *group]), options=unbounded).maximum > console.width:
            made.append([])
        made[-1] += group
    return [drawn(block) for block in made]


def rich_table(headings: Sequence[str], lines: Sequence[Sequence[str]], width: int) -> RichTable:
    """A rich table whose columns are as wide as their cells and the longest word of their heading: nothing is cut off."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(headings):
        widest = max([0, *(len(line[index]) for line in lines)])
        if index == 0:
            table.add_column(Text(heading), width=min(30 if width >= 100 else 20, max(widest, 3)), overflow="fold")
        else:
            words = min(WORD, max(len(word) for word in heading.split(" ")))
            table.add_column(Text(heading), justify="right", width=max(widest, words), overflow="fold", vertical="bottom")
    for line in lines:
        table.add_row(*(Text(cell) for cell in line))
    return table


# -- markdown ---------------------------------------------------------------------------------------------------------


def markdown(comparison: Comparison) -> str:
    """The table as GitHub markdown: scores, knowledge and form, data and cost, then the notes."""
    shown = names(comparison.tasks)
    headings = ["Arm", *(shown[task] for task in comparison.tasks), "Mean", comparison.difference_heading]
    lines = [
        [label(row, comparison), *score_cells(row, comparison.tasks, comparison), mean_cell(row), difference_cell(row)]
        for row in comparison.rows
    ]
    parts = [
        f"**{_escape(comparison.heading)}**",
        _markdown_table(headings, lines),
        _markdown_table(form_headings(comparison), [form_cells(row, comparison) for row in comparison.rows]),
        _markdown_table(DATA_HEADINGS, [data_cells(row, comparison) for row in comparison.rows]),
        "\n".join(f"- {_escape(line)}" for line in notes(comparison)),
    ]
    return "\n\n".join(parts) + "\n"


def _markdown_table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    ruler = ["---", *("---:" for _ in headings[1:])]
    return "\n".join("| " + " | ".join(_escape(cell) if line is not ruler else cell for cell in line) + " |"
                     for line in (headings, ruler, *lines))  # fmt: skip


def _escape(text: str) -> str:
    """Markdown in which nothing of `text` is markup; a lone "-" stays as it is."""
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}|#~]|\[(?=[^\]]*\]\())", r"\\\1", text)
