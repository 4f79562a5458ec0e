"""The table for reading, as terminal text (rich) and as GitHub markdown (sheet.py: as CSV). Missing is "-", never 0."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gra.compare.numbers import count, interval, percent, short, span
from gra.compare.rows import Comparison, Row

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

WORD = 16  # characters of a heading's word before it is broken
FEW_SEEDS = 8  # below, a bootstrap over seeds is too narrow to go without saying (see bootstrap.py)
TOKENS = (
    "Tokens are in and out together, over all models and all calls for proposals that were decided on, kept or discarded; "
    "proposals begun but in the end not needed are left out (run.json in the data folder has them)."
)
Column = tuple[str, list[str]]  # a heading and its cells
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


# -- cells ------------------------------------------------------------------------------------------------------------


def mean_cell(row: Row) -> str:
    """The mean over benchmarks, with the standard deviation over replicates where there are several."""
    return percent(row.mean) if row.spread is None else f"{percent(row.mean)} ±{percent(row.spread)}"


def difference_cell(row: Row) -> str:
    """Reference minus this arm, or what stands there instead."""
    return "reference" if row.reference else interval(row.mean_difference("strict"))


def label(row: Row, comparison: Comparison) -> str:
    """The arm's label; where only some arms are simulated, each says so itself (else the heading says it for all)."""
    own = row.simulated and not all(other.simulated for other in comparison.rows)
    return plain(f"{row.label} (simulated)" if own else row.label)


def names(tasks: Sequence[str]) -> dict[str, str]:
    """Short names of benchmarks for headings: without the prefix that all share ("world_"), if what is left is distinct."""
    same = 0
    for letters in zip(*tasks, strict=False):
        if len(set(letters)) > 1:
            break
        same += 1
    cut = tasks[0][:same].rfind("_") + 1 if len(tasks) > 1 else 0
    return {task: task[cut:] or task for task in tasks}


def plain(text: str) -> str:
    """`text` on one line and without control characters (a label must not move the cursor)."""
    return _CONTROL.sub(" ", text)


def notes(comparison: Comparison) -> list[str]:
    """What a reader needs to know to read the numbers, one sentence a line."""
    lines = ["Scores are percent correct; the mean is the plain mean over benchmarks. A missing value is -."]
    lines += _on_differences(comparison)
    lines += [plain(line) for line in comparison.asked_unlike]
    if any(row.tolerant is not None for row in comparison.rows):
        lines.append(
            "Strict scores take an answer in the form that the task asks for, tolerant ones however it is put, and form is strict "
            "minus tolerant: a difference in strict scores is that in tolerant ones and that in form together. Extracted is the "
            "share of replies with an answer in the asked form."
        )
    if any(row.facts.wrong_share is not None for row in comparison.rows):
        lines.append("Wrong is the true share of wrong samples in the training data, which is known in the simulated world.")
    lines.append(TOKENS)
    if uneven := _uneven(comparison):
        lines.append(uneven)
    if any(row.facts.flops for row in comparison.rows):
        sizes = " The sizes of simulated models are made up." if comparison.simulated else ""
        lines.append(f"FLOPs are estimated as 2 x parameters x tokens, over the same calls (T = 10^12, P = 10^15).{sizes}")
    if comparison.simulated:
        lines.append("Simulated: these models and benchmarks belong to a simulated world; nothing here is about real models.")
    return lines


def _on_differences(comparison: Comparison) -> list[str]:
    """How the intervals were made, and what they leave out; nothing where no arm was compared."""
    differing = [row for row in comparison.rows if row.difference]
    if not differing:
        return []
    replicated = [found for row in differing if (found := row.difference) and max(found.replicates) > 1]
    drawn = "test items and training seeds" if replicated else "test items"
    lines = [
        f"Differences are reference minus arm in points, with {100 * comparison.level:g} % intervals: paired bootstrap over "
        f"{drawn}, {comparison.resamples:,} resamples."
    ]
    if not replicated:
        lines.append("Each arm was trained once: the intervals do not hold the noise of training.")
    else:
        lines.append("± is the standard deviation over training seeds.")
        if min(min(found.replicates) for found in replicated) < FEW_SEEDS:
            lines.append("With so few training seeds the intervals understate the noise of training.")
    clustered = {task: number for row in differing if row.difference for task, number in row.difference.clustered.items()}
    if clustered:
        listed = ", ".join(f"{task} ({number})" for task, number in clustered.items())
        lines.append(f"Whole clusters of items, not single ones, are drawn of: {listed}.")
    if any(clear(row, task, comparison) for row in differing for task in row.cells):
        lines.append(
            f"* marks a score that differs from the reference's at the {100 * (1 - comparison.level):g} % level, after Holm's "
            "correction over the benchmarks of the arm."
        )
    return lines


def _uneven(comparison: Comparison) -> str | None:
    """That the arms were not trained on equally many samples, with their numbers; None where they were, as far as known."""
    shown = [(label(row, comparison), count(row.facts.samples)) for row in comparison.rows if row.facts.samples is not None]
    if len({number for _, number in shown}) < 2:
        return None
    listed = "; ".join(f"{name}: {number}" for name, number in shown)
    return f"The arms differ in their number of training samples ({listed}), which bears on their scores."


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


def clear(row: Row, task: str, comparison: Comparison) -> bool:
    """Whether the arm's strict score differs from the reference's after Holm's correction over the benchmarks."""
    return row.adjusted.get("strict", {}).get(task, 1.0) <= 1 - comparison.level


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
