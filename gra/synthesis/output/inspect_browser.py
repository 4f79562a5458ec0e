"""The terminal browser of `gra inspect DIR`: list, search, filter and sort samples; Enter shows one with its prompts and replies.

It is built with Textual (https://textual.textualize.io). Texts of models are shown as plain text, without markup and
control characters.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import ClassVar

from rich.console import Console
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import DataTable, Footer, Input, Static

from gra.errors import StoreError
from gra.synthesis.output.inspect_sample import sample_life, show
from gra.synthesis.output.inspect_summary import TABLES, read_rows
from gra.synthesis.output.inspect_view import COLUMNS, View, fate_of
from gra.wellformed import printable

MOST = 1_000  # rows in the list; a search finds the others
HEADINGS = ("sample", "decision", "mean", "std", "domain", "instruction")


class Browser(App[None]):
    """The browser of one folder."""

    CSS = """
    #status { height: 1; color: $text-muted; }
    #list { height: 1fr; }
    #search { display: none; height: 3; }
    #search.open { display: block; }
    #detail { display: none; height: 2fr; border-top: solid $accent; padding: 0 1; }
    #detail.open { display: block; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        ("slash", "search", "Search"),
        ("f", "fate", "Kept/dropped"),
        ("s", "order", "Sort"),
        ("n", "step(1)", "Next"),
        ("p", "step(-1)", "Previous"),
        ("escape", "back", "Back"),
        ("q", "quit", "Quit"),
    ]

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.view = View(
            [
                {**row, "kept": kept}
                for name, kept in zip(TABLES, (True, False), strict=True)
                for row in read_rows(folder / name, COLUMNS)
            ]
        )

    def compose(self) -> ComposeResult:
        yield Static(id="status")
        yield Input(placeholder="words in ids, reasons, domains, models and instructions; Enter", id="search")
        yield DataTable(id="list", cursor_type="row", zebra_stripes=True)
        with VerticalScroll(id="detail"):
            yield Static(id="text")
        yield Footer()

    def on_mount(self) -> None:
        self.title = f"gra inspect {self.folder}"
        table = self.table
        for heading in HEADINGS:
            table.add_column(heading, key=heading)
        self.fill()
        table.focus()

    @property
    def table(self) -> DataTable[Text]:
        return self.query_one("#list", DataTable)

    def fill(self) -> None:
        """Fill the table with the samples that the current search, filter and order select."""
        found = self.view.listed()
        self.table.clear()
        for row in found[:MOST]:
            numbers = ["-" if row.get(key) is None else f"{row[key]:.2f}" for key in ("mean", "std")]
            start = " ".join(str(row.get("instruction") or "").split())[:120]
            cells = [str(row["id"]), fate_of(row), *numbers, str(row.get("domain") or "-"), start]
            self.table.add_row(*(Text(printable(cell)) for cell in cells), key=str(row["id"]))
        more = f"; the first {MOST:,} are listed" if len(found) > MOST else ""
        self.query_one("#status", Static).update(Text(printable(self.view.status(len(found)) + more)))

    def action_search(self) -> None:
        box = self.query_one("#search", Input)
        box.add_class("open")
        box.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.view = View(self.view.rows, event.value, self.view.fate, self.view.order)
        self.fill()

    def on_input_submitted(self) -> None:
        self.table.focus()

    def action_fate(self) -> None:
        self.view = self.view.next_fate()
        self.fill()

    def action_order(self) -> None:
        self.view = self.view.next_order()
        self.fill()

    def action_step(self, by: int) -> None:
        """Move to a later or an earlier sample. If a sample is open, open the new one."""
        table = self.table
        if table.row_count:
            table.move_cursor(row=min(max(table.cursor_row + by, 0), table.row_count - 1))
            if self.query_one("#detail").has_class("open"):
                self.open_current()

    async def action_back(self) -> None:
        """Close the open sample; if none is open, close the search."""
        detail, box = self.query_one("#detail"), self.query_one("#search", Input)
        if detail.has_class("open"):
            detail.remove_class("open")
        elif box.has_class("open"):
            box.value = ""
            box.remove_class("open")
        self.table.focus()

    def on_data_table_row_selected(self) -> None:
        self.open_current()

    def open_current(self) -> None:
        """Show the sample under the cursor as `gra inspect --sample` does."""
        table = self.table
        sample = table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value
        detail = self.query_one("#detail")
        detail.add_class("open")
        page = io.StringIO()
        try:
            show(
                sample_life(self.folder, str(sample)),
                Console(file=page, width=max(40, self.size.width - 6), highlight=False),
            )
            shown = page.getvalue()
        except StoreError as error:
            shown = str(error)
        self.query_one("#text", Static).update(Text(shown))
        detail.scroll_home(animate=False)


def browse(folder: Path) -> None:
    """Run the browser until the user leaves it. Raises StoreError if the tables of `folder` cannot be read."""
    Browser(folder).run()
