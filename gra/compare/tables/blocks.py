"""Arranges columns in tables that fit a terminal, without cutting text. The tables are those of the library rich."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gra.compare.tables.notes import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

WORD = 16  # longest word of a heading that is not broken
Column = tuple[str, list[str]]  # a heading and its cells


def blocks(first: Column, groups: Sequence[list[Column]], console: Console) -> list[RichTable]:
    """Return as many tables as are needed to show all columns within the width of the console. `first`: the column with
    which each table begins. `groups`: the other columns. The columns of one group stay in one table."""

    def drawn(block: Sequence[Column]) -> RichTable:
        parts = [first, *block]
        lines = zip(*(cells for _, cells in parts), strict=True)
        return rich_table([plain(heading) for heading, _ in parts], list(lines), console.width)

    unbounded = console.options.update(width=100_000)  # else the measure is capped at the console's width
    made: list[list[Column]] = [[]]
    for group in groups:
        if made[-1] and console.measure(drawn([*made[-1], *group]), options=unbounded).maximum > console.width:
            made.append([])
        made[-1] += group
    return [drawn(block) for block in made]


def rich_table(headings: Sequence[str], lines: Sequence[Sequence[str]], width: int) -> RichTable:
    """Return a table object of the Python library `rich`. No text is cut in this table. The first column wraps long
    text. Every other column is as wide as its widest cell, or as the longest word of its heading if that is wider."""
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
            table.add_column(
                Text(heading), justify="right", width=max(widest, words), overflow="fold", vertical="bottom"
            )
    for line in lines:
        table.add_row(*(Text(cell) for cell in line))
    return table
