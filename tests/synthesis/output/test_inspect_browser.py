"""The terminal browser of `gra inspect`: what it lists, finds, sorts and opens; texts stay texts; where it is not used."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from test_inspect import data_folder

from gra.synthesis.output import inspect
from gra.synthesis.output.inspect_browser import Browser
from gra.synthesis.output.inspect_view import FATES, ORDERS, View


def test_a_walk_through_a_folder(tmp_path: Path) -> None:
    folder = data_folder(tmp_path / "mine")

    async def walk() -> None:
        app = Browser(folder)

        def listed() -> list[str]:
            return [str(app.table.get_cell_at((place, 0))) for place in range(app.table.row_count)]  # type: ignore[arg-type]

        async with app.run_test(size=(110, 40)) as pilot:
            assert len(listed()) == 6
            assert "6 of 6 samples; all; as made" in shown(app, "#status")
            await pilot.press("f")
            assert listed() == ["r1-000000", "r1-000001"]
            await pilot.press("f", "s", "s")
            assert len(listed()) == 4
            assert "dropped; lowest mean" in shown(app, "#status")
            await pilot.press("slash", *"duplicate", "enter")
            assert listed() == ["r1-000005"]
            await pilot.press("escape", "f", "s", "s", "s")
            assert len(listed()) == 6
            await pilot.press("n", "n", "enter")
            text = shown(app, "#text")
            assert "r1-000002" in text
            assert "below_tau" in text
            assert "THE PROMPT" in text
            assert "THE REPLY" in text
            await pilot.press("p")
            assert "r1-000001" in shown(app, "#text")
            await pilot.press("escape")
            assert not app.query_one("#detail").has_class("open")
            await pilot.press("q")

    asyncio.run(walk())


def shown(app: Browser, name: str) -> str:
    return str(app.query_one(name).render())


def test_a_text_is_a_text(tmp_path: Path) -> None:
    """Markup and control characters of models reach neither the list nor the open sample."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = data_folder(tmp_path / "mine", kept=1, below=0)
    path = folder / "data" / "train.parquet"
    row = pq.read_table(path).to_pylist()[0] | {"instruction": "[bold red]Do[/] \x1b[31mit\x07 [/nothing]"}
    pq.write_table(pa.Table.from_pylist([row]), path)

    async def walk() -> None:
        app = Browser(folder)
        async with app.run_test(size=(110, 30)) as pilot:
            cell = str(app.table.get_cell_at((0, 5)))  # type: ignore[arg-type]
            assert cell == "[bold red]Do[/] \ufffd[31mit\ufffd [/nothing]"
            await pilot.press("enter")
            assert "\x1b" not in shown(app, "#text")

    asyncio.run(walk())


def test_orders_put_what_is_unknown_last() -> None:
    rows = [{"id": str(i), "kept": i > 1, "mean": mean, "std": mean} for i, mean in enumerate((3.0, None, 9.0, 5.0))]
    for order, ids in (
        ("highest mean", "2301"),
        ("lowest mean", "0321"),
        ("most disputed", "2301"),
        ("as made", "0123"),
    ):
        assert "".join(str(row["id"]) for row in View(rows, order=order).listed()) == ids
    view = View(rows)
    assert [view := view.next_fate() for _ in FATES][-1] == View(rows)
    assert [view := view.next_order() for _ in ORDERS][-1] == View(rows)


@pytest.mark.parametrize(
    ("terminal", "words", "browses"),
    [
        (True, [], True),
        (False, [], False),
        (True, ["--text"], False),
        (True, ["--list"], False),
        (True, ["--json"], False),
    ],
)
def test_it_opens_at_a_terminal_alone(
    terminal: bool, words: list[str], browses: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = data_folder(tmp_path / "mine")
    opened: list[Path] = []
    monkeypatch.setattr("gra.synthesis.output.inspect_browser.browse", opened.append)
    monkeypatch.setattr("sys.stdin.isatty", lambda: terminal, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert inspect.main([str(folder), *words]) == 0
    assert opened == ([folder] if browses else [])
