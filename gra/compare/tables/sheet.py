r"""PURE: one table in every form: terminal text, GitHub Markdown, CSV, LaTeX (booktabs)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gra.compare.tables import latex
from gra.compare.tables.notes import plain

if TYPE_CHECKING:
    from rich.table import Table as RichTable

LEAST = 14  # least width of a column of text in a terminal, in characters
FORMS = ("terminal", "markdown", "csv", "latex")
SUFFIX = {"markdown": "md", "csv": "csv", "latex": "tex", "terminal": "txt"}
WRITTEN = ("markdown", "csv", "latex")  # the forms of files
_MARKDOWN = re.compile(r"([\\`*_{}|#~]|\[(?=[^\]]*\]\())")


@dataclass(frozen=True)
class Sheet:
    """A table of text cells. `records`: the lines as values in full precision, which CSV writes in place of the cells;
    if empty, CSV writes the cells. The first `words` columns are text, aligned left; the others are numbers, aligned
    right. `name`: the name of its file, for LaTeX's label."""

    title: str
    headings: tuple[str, ...]
    lines: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    records: Sequence[Mapping[str, object]] = field(default_factory=tuple)
    words: int = 1
    name: str = ""

    def pick(self, headings: Sequence[str], words: int) -> Sheet:
        """The sheet with these columns only, of which the first `words` are text."""
        places = [self.headings.index(heading) for heading in headings]
        lines = [[line[place] for place in places] for line in self.lines]
        return replace(self, headings=tuple(headings), lines=lines, words=words)


def render(sheets: Sequence[Sheet], form: str, width: int = 120) -> str:
    """The sheets as text in one of FORMS; CSV holds the first sheet's records alone, so that it stays one table."""
    if form == "csv":
        return as_csv(sheets[0])
    if form == "terminal":
        return as_terminal(sheets, width)
    text = "\n\n".join({"markdown": markdown, "latex": _latex}[form](sheet) for sheet in sheets) + "\n"
    return f"{latex.PACKAGE}\n{text}" if form == "latex" else text


# -- Markdown ---------------------------------------------------------------------------------------------------------


def markdown(sheet: Sheet) -> str:
    """The sheet as GitHub Markdown, without a closing newline."""
    parts = [f"**{escape_markdown(sheet.title)}**"] if sheet.title else []
    parts += [markdown_table(sheet.headings, sheet.lines, sheet.words)]
    parts += ["\n".join(f"- {escape_markdown(line)}" for line in sheet.notes)] if sheet.notes else []
    return "\n\n".join(parts)


def markdown_table(headings: Sequence[str], lines: Sequence[Sequence[str]], words: int = 1) -> str:
    """Headings and lines as a table; the first `words` columns are aligned left."""
    ruler = ["---" if place < words else "---:" for place in range(len(headings))]
    return "\n".join(
        "| " + " | ".join(cell if line is ruler else escape_markdown(cell) for cell in line) + " |"
        for line in (headings, ruler, *lines)
    )


def escape_markdown(text: str) -> str:
    """`text` escaped for Markdown; a lone "-" stays as it is."""
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", text)


# -- CSV --------------------------------------------------------------------------------------------------------------


def as_csv(sheet: Sheet) -> str:
    """The records, or else the cells, as CSV; a missing value is "-", shares keep full precision."""
    records: Sequence[Mapping[str, object]] = sheet.records or [
        dict(zip(sheet.headings, line, strict=True)) for line in sheet.lines
    ]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(records[0]) if records else sheet.headings, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: csv_value(value) for key, value in record.items()} for record in records)
    return buffer.getvalue()


def csv_value(value: object) -> str:
    """A value as a CSV cell: "-" for None, true and false, numbers in full precision."""
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
    """The sheets as text of at most `width` columns. Text wraps. Columns of numbers that do not fit are printed as further tables
    below. A sheet without lines has its title and notes only."""
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
