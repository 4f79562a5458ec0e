"""Shows an evaluation: progress bars on a terminal (or one line per minute without one), and the table of scores at the end.

Progress goes to standard error, the table to standard output. The progress bars of lm-eval and its libraries are
switched off, because they would overwrite the bars shown here.
"""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gra.eval.report import cut
from gra.labels import before_training
from gra.private_api.tqdm import quiet_bars
from gra.terminal import logging_above, span, terminal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID
    from rich.table import Table

LINE_S = 60.0  # seconds between two progress lines without a terminal
ENOUGH = 20  # a rate is shown from this many new replies on
MISSING = "-"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Progress:
    """A context manager that shows how many items of each task are answered.

    Call the object with (items done, items in total, leaf task). Calls from several threads are safe.

    `console`: where the bars are drawn. None means standard error if it is a terminal.
    `line_s`: if no bars can be drawn, a line of text is printed instead, at most every `line_s` seconds.
    """

    def __init__(self, tasks: Sequence[str], console: Console | None = None, line_s: float = LINE_S):
        self._tasks, self._console, self._line_s = tasks, console or terminal(), line_s
        self._counts: dict[str, tuple[int, int]] = {}  # leaf task: done, total
        self._bars: Bars | None = None
        self._shown: dict[str, TaskID] = {}
        self._lock = threading.Lock()
        self._close = contextlib.ExitStack()
        self._printed = self._begun = time.monotonic()
        self._known = 0  # items answered before this run: those in the first call for each task

    def __enter__(self) -> Self:
        self._close.enter_context(quiet_bars())
        if self._console is not None:
            before = sys.stderr
            self._bars = self._close.enter_context(_bars(self._console))
            self._close.enter_context(logging_above(before))
            self._shown[""] = self._bars.add_task("preparing: benchmarks and model", total=None, counted="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is None and self._counts:
            self._print()
        self._close.close()

    def __call__(self, done: int, total: int, task: str) -> None:
        with self._lock:
            if not self._counts:
                self._begun = time.monotonic()
            self._known += done if task not in self._counts else 0
            self._counts[task] = (done, total)
            if self._bars is not None:
                self._draw(self._bars, self._owner(task))
            elif time.monotonic() - self._printed >= self._line_s:
                self._printed = time.monotonic()
                self._print()

    def _owner(self, leaf: str) -> str:
        """Return the suite's task that a leaf task belongs to, judged by their names."""
        return max((task for task in self._tasks if leaf == task or leaf.startswith(f"{task}_")), key=len, default=leaf)

    def _sum(self, owner: str | None) -> tuple[int, int]:
        mine = [count for leaf, count in self._counts.items() if owner is None or self._owner(leaf) == owner]
        return sum(done for done, _ in mine), sum(total for _, total in mine)

    def _draw(self, bars: Bars, owner: str) -> None:
        done, total = self._sum(None)
        counted = f"{done:,} of {total:,}"
        if done == total:  # requests of another kind may follow, then the scoring
            self._without_total("scoring", counted)
        else:
            bars.update(self._shown[""], description="all", completed=done, total=total, counted=counted)
        done, total = self._sum(owner)
        if owner not in self._shown:
            self._shown[owner] = bars.add_task(_plain(owner), total=total, counted="")
        bars.update(
            self._shown[owner], completed=done, total=total, counted=f"{done:,} of {total:,}", visible=done < total
        )

    def _without_total(self, text: str, counted: str) -> None:
        """Replace the bar of all items by one without a total: work continues, but its amount is unknown."""
        assert self._bars is not None
        self._bars.remove_task(self._shown[""])
        self._shown[""] = self._bars.add_task(text, total=None, counted=counted)

    def _print(self) -> None:
        done, total = self._sum(None)
        seconds, new = time.monotonic() - self._begun, done - self._known
        known = new >= ENOUGH and seconds and done < total
        rate = f", {new / seconds:.1f}/s, left: {span((total - done) * seconds / new)}" if known else ""
        with contextlib.suppress(OSError):  # a closed terminal does not end the run
            print(f"evaluation: {done:,} of {total:,} answered{rate}", file=sys.stderr, flush=True)


def table(result: Mapping[str, Any], width: int | None = None) -> str:
    """Return the scores in `result` (scores.json) as a text table in percent.

    The rows are the tasks, the means of groups, and the overall mean. A missing value is shown as "-". Below the table
    is a warning for each task in which the share of truncated replies is above `cut.NOTICED`.

    `width`: the table's width in characters. None means the terminal's width, or 120 without a terminal.
    """
    import io

    from rich.console import Console

    buffer = io.StringIO()
    found = Console()
    columns = width or (found.width if found.is_terminal else 120)
    console = Console(file=buffer, width=columns, color_system=None, force_terminal=False, emoji=False, highlight=False)
    console.print(_table(result))
    if label := result.get("quantized"):
        console.print(f"The model's {before_training(label)}.", markup=False)
    for line in cut.warnings(result):
        console.print(line, markup=False)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _table(result: Mapping[str, Any]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    title = "Percent correct" + (" (simulated)" if result["simulated"] else "")
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=Text(title), title_justify="left")
    for number, heading in enumerate(("Task", "Group", "Items", "Strict", "Tolerant", "Extracted", "At limit")):
        made.add_column(heading, justify="left" if number < 2 else "right", overflow="fold")
    for name, score in result["tasks"].items():
        made.add_row(
            *(Text(cell) for cell in (_plain(name), _plain(score["group"]), f"{score['n']:,}", *_numbers(score)))
        )
        if macro := score.get("macro"):
            numbers = _numbers({**macro, "at_limit": None})[:-1]
            made.add_row(*(Text(cell) for cell in (f"  mean over {macro['over']} parts", "", "", *numbers, "")))
    made.add_section()
    of = [score["group"] for score in result["tasks"].values()]
    for name, score in result["groups"].items():
        if of.count(name) > 1:
            made.add_row(*(Text(cell) for cell in (f"({_plain(name)})", "", "", *_numbers(score))))
    if len(of) > 1:
        made.add_row(*(Text(cell) for cell in ("mean", "", "", *_numbers(result["mean"]))))
    return made


def _numbers(score: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return (
        _percent(score["value"], score["stderr"]),
        _percent(score["tolerant"], score["tolerant_stderr"]),
        _percent(score["extraction"], None),
        cut.shown(score),
    )


def _percent(value: float | None, stderr: float | None) -> str:
    if value is None:
        return MISSING
    return f"{100 * value:.1f}" + (f" ±{100 * stderr:.1f}" if stderr is not None else "")


def _bars(console: Console) -> Bars:
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = [TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[counted]}")]
    return Bars(
        *columns,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        redirect_stdout=False,
        refresh_per_second=4,
    )


def _plain(text: str) -> str:
    """Return `text` with each control character, line breaks included, replaced by a blank."""
    return _CONTROL.sub(" ", text)
