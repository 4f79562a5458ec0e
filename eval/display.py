"""What is seen of an evaluation: bars while it runs (on a terminal; else a line a minute), and the table of scores at its end.

Progress goes to standard error, the table to standard output. Bars of lm-eval and the libraries under it are kept away: each
draws over the others.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from eval import cut
from gra.labels import before_training

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID
    from rich.table import Table

LINE_S = 60.0  # seconds between two lines where there is no terminal
ENOUGH = 20  # replies from which a rate is told
MISSING = "-"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Progress:
    """Shows how many items are answered, by task of the suite. A context manager; call it with (done, total, leaf task).

    `console`: of the bars; None: standard error if that is a terminal. Calls may come from several threads.
    """

    def __init__(self, tasks: Sequence[str], console: Console | None = None, line_s: float = LINE_S):
        self._tasks, self._console, self._line_s = tasks, console or terminal(), line_s
        self._counts: dict[str, tuple[int, int]] = {}  # leaf task: done, total
        self._bars: Bars | None = None
        self._shown: dict[str, TaskID] = {}
        self._lock = threading.Lock()
        self._close = contextlib.ExitStack()
        self._said = self._begun = time.monotonic()
        self._known = 0  # items that were answered before, as each task's first call says

    def __enter__(self) -> Self:
        self._close.enter_context(quiet_bars())
        if self._console is not None:
            before = sys.stderr
            self._bars = self._close.enter_context(_bars(self._console))
            self._close.enter_context(_logging_above(before))
            self._shown[""] = self._bars.add_task("preparing: benchmarks and model", total=None, counted="")
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._bars is None and self._counts:
            self._say()
        self._close.close()

    def __call__(self, done: int, total: int, task: str) -> None:
        with self._lock:
            if not self._counts:
                self._begun = time.monotonic()
            self._known += done if task not in self._counts else 0
            self._counts[task] = (done, total)
            if self._bars is not None:
                self._draw(self._bars, self._owner(task))
            elif time.monotonic() - self._said >= self._line_s:
                self._said = time.monotonic()
                self._say()

    def _owner(self, leaf: str) -> str:
        """The task of the suite that a leaf stands under, as far as names tell."""
        return max((task for task in self._tasks if leaf == task or leaf.startswith(f"{task}_")), key=len, default=leaf)

    def _sum(self, owner: str | None) -> tuple[int, int]:
        mine = [count for leaf, count in self._counts.items() if owner is None or self._owner(leaf) == owner]
        return sum(done for done, _ in mine), sum(total for _, total in mine)

    def _draw(self, bars: Bars, owner: str) -> None:
        done, total = self._sum(None)
        counted = f"{done:,} of {total:,}"
        if done == total:  # replies of another kind may follow, and then the scoring: a bar without an end
            self._unending("scoring", counted)
        else:
            bars.update(self._shown[""], description="all", completed=done, total=total, counted=counted)
        done, total = self._sum(owner)
        if owner not in self._shown:
            self._shown[owner] = bars.add_task(_plain(owner), total=total, counted="")
        bars.update(self._shown[owner], completed=done, total=total, counted=f"{done:,} of {total:,}", visible=done < total)

    def _unending(self, text: str, counted: str) -> None:
        """The bar of all items shows that there is work, and not how much: in its place one without a total."""
        assert self._bars is not None
        self._bars.remove_task(self._shown[""])
        self._shown[""] = self._bars.add_task(text, total=None, counted=counted)

    def _say(self) -> None:
        done, total = self._sum(None)
        seconds, new = time.monotonic() - self._begun, done - self._known
        known = new >= ENOUGH and seconds and done < total
        rate = f", {new / seconds:.1f}/s, left: {span((total - done) * seconds / new)}" if known else ""
        with contextlib.suppress(OSError):  # whoever read it is gone; the run is not for them alone
            print(f"evaluation: {done:,} of {total:,} answered{rate}", file=sys.stderr, flush=True)


def table(result: Mapping[str, Any], width: int | None = None) -> str:
    """`result` (scores.json) as text: in percent every task, its group, the groups' means and the mean; "-" for what is missing.

    Under the table one line for each task of which more than `cut.NOTICED` of the replies ended at their limit of tokens.

    `width`: columns; None: the terminal's, or 120 where there is none.
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
        made.add_row(*(Text(cell) for cell in (_plain(name), _plain(score["group"]), f"{score['n']:,}", *_numbers(score))))
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
        _percent(score["value"], score["stderr"]), _percent(score["tolerant"], score["tolerant_stderr"]),
        _percent(score["extraction"], None), cut.shown(score),
    )  # fmt: skip


def _percent(value: float | None, stderr: float | None) -> str:
    if value is None:
        return MISSING
    return f"{100 * value:.1f}" + (f" ±{100 * stderr:.1f}" if stderr is not None else "")


def span(seconds: float) -> str:
    """`42 s`, `3:05 min`, `2:07 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60}:{whole % 60:02d} min" if whole < 3600 else f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def terminal() -> Console | None:
    """A console on standard error if that is a terminal which can move its cursor, else None."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    return None if console.is_dumb_terminal else console


@contextlib.contextmanager
def quiet_bars() -> Iterator[None]:
    """No bar of tqdm's is drawn meanwhile: lm-eval offers no switch for those that it shows while it builds prompts."""
    from tqdm.std import tqdm

    before = tqdm.__init__

    def disabled(self: Any, *values: Any, **options: Any) -> None:
        before(self, *values, **(options | {"disable": True}))

    tqdm.__init__ = disabled  # type: ignore[method-assign]
    try:
        yield
    finally:
        tqdm.__init__ = before  # type: ignore[method-assign]


def _bars(console: Console) -> Bars:
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = [TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[counted]}")]
    return Bars(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, redirect_stdout=False, refresh_per_second=4)


@contextlib.contextmanager
def _logging_above(before: TextIO) -> Iterator[None]:
    """Lines of the log are printed above the bars: handlers hold the stream `before` the one that the bars have put there."""
    handlers = [h for h in logging.getLogger().handlers if isinstance(h, logging.StreamHandler) and h.stream is before]
    for handler in handlers:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler in handlers:
            handler.setStream(before)


def _plain(text: str) -> str:
    """`text` on one line, without control characters."""
    return _CONTROL.sub(" ", text)
