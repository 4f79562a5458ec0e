r"""PURE: renders a table in each of four forms: terminal text, GitHub Markdown, CSV, LaTeX (booktabs)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gra.compare.tables import latex
from gra.compare.tables.notes import plain
from gra.compare.tables.numbers import MISSING, REFERENCE

if TYPE_CHECKING:
    from rich.table import Table as RichTable

LEAST = 14  # least width of a column of text in a terminal, in characters
FORMS = ("terminal", "markdown", "csv", "latex")
SUFFIX = {"markdown": "md", "csv": "csv", "latex": "tex", "terminal": "txt"}
WRITTEN = ("markdown", "csv", "latex")  # the forms of files
_MARKDOWN = re.compile(r"([\\`*_{}|#~]|\[(?=[^\]]*\]\())")


@dataclass(frozen=True)
class Sheet:
    """A table of text cells, with a title and notes.

    `records`: for the CSV file, one mapping per line with values in full precision. If `records` is empty, the CSV file
    gets the text cells. `words`: the number of columns at the left that contain text. They are aligned left. The other
    columns contain numbers and are aligned right. `name`: the name of the table's file, which is also part of its LaTeX
    label.
    """

    title: str
    headings: tuple[str, ...]
    lines: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    records: Sequence[Mapping[str, object]] = field(default_factory=tuple)
    words: int = 1
    name: str = ""

    def pick(self, headings: Sequence[str], words: int) -> Sheet:
        """Return the sheet with the columns `headings` only. `words`: the number of these columns at the left that
        contain text."""
        places = [self.headings.index(heading) for heading in headings]
        lines = [[line[place] for place in places] for line in self.lines]
        return replace(self, headings=tuple(headings), lines=lines, words=words)

    def filled(self) -> Sheet:
        """Return the sheet without the columns of numbers that have no value in any line."""
        columns = list(zip(*self.lines, strict=True))
        known = [
            heading
            for place, heading in enumerate(self.headings)
            if place < self.words or not columns or has_value(columns[place])
        ]
        return self.pick(known, self.words)


def has_value(cells: Sequence[str]) -> bool:
    """Return whether a column has a cell with a value. "-" and "reference" are not values."""
    return any(cell not in (MISSING, REFERENCE) for cell in cells)


def render(sheets: Sequence[Sheet], form: str, width: int = 120) -> str:
    """Return the sheets (tables) as text. `form`: the output format, one of FORMS. For CSV, only the first sheet is
    returned, because a CSV file holds one table."""
    if form == "csv":
        return as_csv(sheets[0])
    if form == "terminal":
        return as_terminal(sheets, width)
    text = "\n\n".join({"markdown": markdown, "latex": _latex}[form](sheet) for sheet in sheets) + "\n"
    return f"{latex.PACKAGE}\n{text}" if form == "latex" else text


# -- Markdown ---------------------------------------------------------------------------------------------------------


def markdown(sheet: Sheet) -> str:
    """Return the sheet as GitHub Markdown, without a closing newline."""
    parts = [f"**{escape_markdown(sheet.title)}**"] if sheet.title else []
    parts += [markdown_table(sheet.headings, sheet.lines, sheet.words)]
    parts += ["\n".join(f"- {escape_markdown(line)}" for line in sheet.notes)] if sheet.notes else []
    return "\n\n".join(parts)


def markdown_table(headings: Sequence[str], lines: Sequence[Sequence[str]], words: int = 1) -> str:
    """Return headings and lines as a Markdown table. `words`: the number of columns at the left that contain text. They
    are aligned left, the other columns right."""
    ruler = ["---" if place < words else "---:" for place in range(len(headings))]
    return "\n".join(
        "| " + " | ".join(cell if line is ruler else escape_markdown(cell) for cell in line) + " |"
        for line in (headings, ruler, *lines)
    )


def escape_markdown(text: str) -> str:
    """Return `text` with Markdown's special characters escaped. The sign "-" is not escaped."""
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", text)


# -- CSV --------------------------------------------------------------------------------------------------------------


def as_csv(sheet: Sheet) -> str:
    """Return the sheet as CSV: its `records`, or if it has none, the texts of its cells. A missing value is "-".
    Numbers of `records` keep full precision."""
    records: Sequence[Mapping[str, object]] = sheet.records or [
        dict(zip(sheet.headings, line, strict=True)) for line in sheet.lines
    ]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(records[0]) if records else sheet.headings, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: csv_value(value) for key, value in record.items()} for record in records)
    return buffer.getvalue()


def csv_value(value: object) -> str:
    """Return a value as a CSV cell. None becomes "-", a bool becomes `true` or `false`, and a number keeps full
    precision."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


# -- LaTeX ------------------------------------------------------------------------------------------------------------


def _latex(sheet: Sheet) -> str:
    return latex.table(sheet.headings, sheet.lines, sheet.words, sheet.title, sheet.notes, sheet.name)


# -- terminal ---------------------------------------------------------------------------------------------------------


def as_terminal(sheets: Sequence[Sheet], width: int) -> str:
    """Return the sheets as text whose lines have at most `width` characters. Long text is wrapped. If columns of
    numbers do not fit, further tables below show them. If a sheet has no rows, only its title and notes are shown."""
    from rich.console import Console
    from rich.text import Text

    from gra.compare.tables.blocks import blocks

    buffer = io.StringIO()
    console = Console(
        file=buffer, width=width, color_system=None, force_terminal=False, legacy_windows=False, emoji=False
    )
    for place, sheet in enumerate(sheets):
        if place:
            console.print()
        if sheet.title:
            console.print(Text(plain(sheet.title)))
        columns = [
            (heading, [plain(line[place]) for line in sheet.lines]) for place, heading in enumerate(sheet.headings)
        ]
        numbers = sum(2 + max(map(len, (heading, *cells))) for heading, cells in columns[sheet.words :])
        if not sheet.lines:
            pass  # the notes say why
        elif numbers + LEAST * sheet.words <= width:
            console.print(_wrapped(columns, sheet.words))
        else:
            for block in blocks(_joined(columns[: sheet.words]), [[one] for one in columns[sheet.words :]], console):
                console.print(block)
        for note in sheet.notes:
            console.print(Text(plain(note)))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _joined(columns: Sequence[tuple[str, list[str]]]) -> tuple[str, list[str]]:
    """Join columns of text into one. Every block begins with it, so that the block's lines have names."""
    headings, cells = zip(*columns, strict=True)
    return ", ".join(headings), [", ".join(line) for line in zip(*cells, strict=True)]


def _wrapped(columns: Sequence[tuple[str, list[str]]], words: int) -> RichTable:
    """One table: the first `words` columns wrap, the others keep their width."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, (heading, _) in enumerate(columns):
        text = place < words
        table.add_column(Text(heading), justify="left" if text else "right", no_wrap=not text, overflow="fold")
    for line in zip(*(cells for _, cells in columns), strict=True):
        table.add_row(*(Text(cell) for cell in line))
    return table
