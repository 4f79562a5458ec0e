"""The table in three forms: terminal text (rich), GitHub markdown, and a CSV with full precision. Missing is "-", never 0."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gra.compare.bootstrap import Interval
from gra.compare.numbers import MISSING, count, interval, percent, short
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
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


# -- cells ------------------------------------------------------------------------------------------------------------


def mean_cell(row: Row) -> str:
    """The mean over benchmarks, with the standard deviation over replicates where there are several."""
    return percent(row.mean) if row.spread is None else f"{percent(row.mean)} ±{percent(row.spread)}"


def difference_cell(row: Row) -> str:
    """Reference minus this arm, or what stands there instead."""
    return "reference" if row.reference else interval(row.difference.mean if row.difference else None)


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
    differing = [row for row in comparison.rows if row.difference]
    lines = ["Scores are percent correct; the mean is the plain mean over benchmarks. A missing value is -."]
    if differing:
        replicated = [found for row in differing if (found := row.difference) and max(found.replicates) > 1]
        drawn = "test items and training seeds" if replicated else "test items"
        lines.append(
            f"Differences are reference minus arm in points, with {100 * comparison.level:g} % intervals: paired bootstrap over "
            f"{drawn}, {comparison.resamples:,} resamples."
        )
        if not replicated:
            lines.append("Each arm was trained once: the intervals do not hold the noise of training.")
        else:
            lines.append("± is the standard deviation over training seeds.")
            if min(min(found.replicates) for found in replicated) < FEW_SEEDS:
                lines.append("With so few training seeds the intervals understate the noise of training.")
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


def _uneven(comparison: Comparison) -> str | None:
    """That the arms were not trained on equally many samples, with their numbers; None where they were, as far as known."""
    shown = [(label(row, comparison), count(row.facts.samples)) for row in comparison.rows if row.facts.samples is not None]
    if len({number for _, number in shown}) < 2:
        return None
    listed = "; ".join(f"{name}: {number}" for name, number in shown)
    return f"The arms differ in their number of training samples ({listed}), which bears on their scores."


# -- the two tables, as text cells ------------------------------------------------------------------------------------


DATA_HEADINGS = ("Arm", "Training samples", "Wrong %", "Tokens", "Tokens/sample", "FLOPs/sample", "No answer %")


def data_cells(row: Row, comparison: Comparison) -> list[str]:
    """The cells of DATA_HEADINGS for one arm."""
    facts = row.facts
    return [
        label(row, comparison), count(facts.samples), percent(facts.wrong_share), short(facts.tokens),
        short(facts.tokens_per_sample), short(facts.flops_per_sample), percent(row.no_answer),
    ]  # fmt: skip


def score_cells(row: Row, tasks: Sequence[str]) -> list[str]:
    """The values of one arm on `tasks`."""
    return [percent(row.cells[task].value if task in row.cells else None) for task in tasks]


# -- terminal ---------------------------------------------------------------------------------------------------------


def terminal(comparison: Comparison, width: int = 120) -> str:
    """The table as text of at most `width` columns; benchmarks that do not fit beside each other go into further blocks."""
    from rich.console import Console
    from rich.text import Text

    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None, force_terminal=False, legacy_windows=False, emoji=False)
    console.print(Text(plain(comparison.heading)))
    for block in _blocks(comparison, console):
        console.print(block)
    console.print(_rich(DATA_HEADINGS, [data_cells(row, comparison) for row in comparison.rows], width))
    for line in notes(comparison):
        console.print(Text(line))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _blocks(comparison: Comparison, console: Console) -> list[RichTable]:
    """The scores as tables that fit the console, as many benchmarks in each as it takes; the mean stands in the last."""
    shown = names(comparison.tasks)
    columns = [
        (plain(shown[task]).replace("_", " "), [score_cells(row, [task])[0] for row in comparison.rows])
        for task in comparison.tasks
    ]  # fmt: skip
    closing = [
        ("mean", [mean_cell(row) for row in comparison.rows]),
        (plain(comparison.difference_heading), [difference_cell(row) for row in comparison.rows]),
    ]
    first = ("Arm", [label(row, comparison) for row in comparison.rows])

    def drawn(block: Sequence[tuple[str, list[str]]]) -> RichTable:
        parts = [first, *block]
        lines = zip(*(cells for _, cells in parts), strict=True)
        return _rich([heading for heading, _ in parts], list(lines), console.width)

    unbounded = console.options.update(width=100_000)  # else a measure says that everything fits
    blocks: list[list[tuple[str, list[str]]]] = [[]]
    for group in (*([column] for column in columns), closing):
        if blocks[-1] and console.measure(drawn([*blocks[-1], *group]), options=unbounded).maximum > console.width:
            blocks.append([])
        blocks[-1] += group
    return [drawn(block) for block in blocks]


def _rich(headings: Sequence[str], lines: Sequence[Sequence[str]], width: int) -> RichTable:
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
    """The table as GitHub markdown: scores, then data and cost, then the notes."""
    shown = names(comparison.tasks)
    headings = ["Arm", *(shown[task] for task in comparison.tasks), "Mean", comparison.difference_heading]
    lines = [
        [label(row, comparison), *score_cells(row, comparison.tasks), mean_cell(row), difference_cell(row)]
        for row in comparison.rows
    ]
    parts = [
        f"**{_escape(comparison.heading)}**",
        _markdown_table(headings, lines),
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


# -- CSV --------------------------------------------------------------------------------------------------------------


def csv_text(comparison: Comparison) -> str:
    """One line an arm, numbers in full precision (shares, not percent), "-" for what is missing. See results/README.md."""
    buffer = io.StringIO()
    lines = [_csv_row(row, comparison) for row in comparison.rows]
    writer = csv.DictWriter(buffer, fieldnames=list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return buffer.getvalue()


def read_csv(text: str) -> list[dict[str, str | float | int | bool | None]]:
    """The lines of `csv_text` with their types again: "-" becomes None, true and false bools, numbers numbers."""
    kept = {"arm", "label"}
    return [
        {key: value if key in kept else _typed(value) for key, value in line.items()}
        for line in csv.DictReader(io.StringIO(text, newline=""))
    ]  # fmt: skip


def _csv_row(row: Row, comparison: Comparison) -> dict[str, str]:
    found, facts = row.difference, row.facts
    values: dict[str, object] = {
        "arm": row.name, "label": row.label, "reference": row.reference, "simulated": row.simulated,
        "replicates": row.replicates, "mean": row.mean, "mean.std": row.spread,
        **_interval_columns("mean", found.mean if found else None, None),
        "level": found.level if found else None, "resamples": found.resamples if found else None,
        "replicates_paired": found.paired if found else None, "no_answer": row.no_answer,
        "data_sets": facts.sets, "samples": facts.samples, "tokens_in": facts.tokens_in, "tokens_out": facts.tokens_out,
        "tokens": facts.tokens, "tokens_per_sample": facts.tokens_per_sample,
        "flops": facts.flops, "flops_per_sample": facts.flops_per_sample, "audited": facts.audited,
        "wrong": facts.wrong, "wrong_share": facts.wrong_share, "unknown": facts.unknown,
    }  # fmt: skip
    for task in comparison.tasks:
        cell = row.cells.get(task)
        key = f"task.{task}"  # so that no benchmark's name can be mistaken for another column
        values[key] = cell.value if cell else None
        values[f"{key}.n"] = cell.n if cell else None
        values[f"{key}.no_answer"] = cell.no_answer if cell else None
        adjusted = row.adjusted[task] if row.adjusted else None
        values |= _interval_columns(key, found.tasks[task] if found else None, adjusted)
    return {key: _csv_value(value) for key, value in values.items()}


def _interval_columns(name: str, found: Interval | None, adjusted: float | None) -> dict[str, object]:
    columns: dict[str, object] = {
        f"{name}.difference": found.value if found else None, f"{name}.low": found.low if found else None,
        f"{name}.high": found.high if found else None, f"{name}.p": found.p if found else None,
    }  # fmt: skip
    return columns if name == "mean" else {**columns, f"{name}.p_holm": adjusted}


def _csv_value(value: object) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def _typed(value: str) -> str | float | int | bool | None:
    if value in (MISSING, "true", "false"):
        return {MISSING: None, "true": True, "false": False}[value]
    try:
        return int(value)
    except ValueError:
        return float(value)
