"""Shows a run's progress on standard error. A terminal gets a live panel; any other output gets one line per minute,
and one line at the end of each stage.

The panel takes the full width (60 columns are enough), and its height changes little. Log lines are printed above it.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from gra.synthesis.committee.health_text import agreement, alpha, loud
from gra.synthesis.committee.records import CallRecord, Outcome
from gra.synthesis.progress import status_file
from gra.synthesis.progress.server_text import limits, unhealthy
from gra.synthesis.progress.state import Snapshot, State
from gra.synthesis.replies.remarks import Remarks
from gra.terminal import count, logging_above, short, span, terminal
from gra.wellformed import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

LINE_S, STATUS_S, PANEL_S = 60.0, 2.0, 1.0
WORDS = {
    "instruction": "no instruction",
    "check": "instruction failed",
    "response": "no response",
    "gate": "gate",
    "contaminated": "contaminated",
    "other": "other",
}

log = logging.getLogger(__name__)


class Progress:
    """Shows the progress of a run, with the counts of the object `state`. The class is a context manager. It is also a
    `Listener`, so the round loop reports to it. A separate thread updates the display.

    `folder`: the folder in which status.json is written, or None if it is not written. `console`: the console that
    shows the panel. If it is None, the panel is shown on standard error. If standard error is no terminal, lines of
    text are printed there instead of the panel.
    """

    def __init__(
        self, state: State, folder: Path | None = None, console: Console | None = None, line_s: float = LINE_S
    ):
        self._state, self._folder, self._line_s = state, folder, line_s
        self._console = console or terminal()
        self._live: Live | None = None
        self._close = contextlib.ExitStack()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._update_loop, name="progress", daemon=True)
        self._stage = ""
        self._remarks = Remarks()
        self._started_at = time.time()

    def __enter__(self) -> Self:
        self._state.look()
        if self._console is not None:
            self._start_panel(self._console)
        self._write_status()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._state.look()
        self._stage_ended()
        self._stop_panel()
        if self._folder is not None:
            try:
                status_file.remove(self._folder)
            except OSError as error:
                log.warning("status.json cannot be removed: %s", error)

    def stage(self, name: str, total: int | None) -> None:
        """Print the final line of the previous stage, if it had items, and begin this one."""
        self._stage_ended()
        self._stage = name
        self._state.stage(name, total)

    def advance(self, outcome: Outcome | None) -> None:
        self._state.advance(outcome)
        if outcome is not None:
            self.heard(outcome.calls)

    def heard(self, calls: Iterable[CallRecord]) -> None:
        """Log what is unusual about the replies of finished calls. Each remark is logged once per model."""
        for text in self._remarks.see(calls):
            log.warning("%s", printable(text))

    def deduplicated(self, distinct: int, duplicates: int) -> None:
        self._state.deduplicated(distinct, duplicates)

    def _update_loop(self) -> None:
        shown = written = time.monotonic()
        while not self._stop.wait(PANEL_S):
            self._state.look()
            now = time.monotonic()
            if self._live is not None:
                self._live.update(panel(self._state.snapshot()), refresh=True)
            elif now - shown >= self._line_s:
                shown = now
                self._say(line(self._state.snapshot()))
            if now - written >= STATUS_S:
                written = now
                self._write_status()

    def _stage_ended(self) -> None:
        if self._stage and (snapshot := self._state.snapshot()).total != 0:  # a stage of 0 items has nothing to say
            self._say(line(snapshot, ended=True))
        self._stage = ""

    def _say(self, text: str) -> None:
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False, style="dim")
        else:
            with contextlib.suppress(OSError):  # standard error is closed; the run continues
                print(text, file=sys.stderr, flush=True)

    def _write_status(self) -> None:
        if self._folder is None:
            return
        snapshot = self._state.snapshot()
        try:
            status_file.write(self._folder, status_file.status(snapshot, line(snapshot), self._started_at, time.time()))
        except OSError as error:
            log.warning("status.json cannot be written and is not tried again: %s", error)
            self._folder = None

    def _start_panel(self, console: Console) -> None:
        from rich.live import Live

        before = sys.stderr
        self._live = Live(panel(self._state.snapshot()), console=console, auto_refresh=False, redirect_stdout=False)
        self._live.start()
        console.show_cursor(True)  # Live hides the cursor, and a killed process would leave the terminal without one
        self._close.enter_context(logging_above(before))

    def _stop_panel(self) -> None:
        if self._live is None:
            return
        self._close.close()
        self._live.update(panel(self._state.snapshot(), ended=True), refresh=True)
        self._live.stop()
        self._live = None


def line(s: Snapshot, ended: bool = False) -> str:
    """Return the state in one line. `ended`: whether this is the final line of a stage."""
    parts = []
    funnel = s.funnel
    if s.stage and s.stage == f"round {s.round}":
        found = f"{funnel.accepted:,} of {count(s.need)} accepted, {funnel.proposed:,} proposed"
        parts.append(found + (f", {funnel.duplicates:,} duplicates" if funnel.duplicates is not None else ""))
    else:
        parts.append(f"{s.done:,} of {count(s.total)}")
    if not ended:
        if s.rates is not None:
            parts.append(
                f"{short(s.rates.calls_s)} calls/s, {short(s.rates.tokens_in_s + s.rates.tokens_out_s)} tokens/s"
            )
        parts.append(f"{sum(s.in_flight.values()):,} in flight")
        if s.servers_out:
            parts.append(f"unhealthy servers: {', '.join(unhealthy(s.servers or ()) or s.servers_out)}")
        if s.committee is not None and (wrong := loud(s.committee)):
            parts.append(f"COMMITTEE: {'; '.join(wrong)}")
        parts.append(f"left: {span(s.eta_s)}" + (f" ({span(s.eta_run_s)} in total)" if s.eta_run_s is not None else ""))
    else:
        parts.append(f"{s.answered:,} calls so far, and {s.replayed:,} replayed from the journal; {span(s.stage_s)}")
    return f"{_title(s)}: {'; '.join(parts)}"


def panel(s: Snapshot, ended: bool = False) -> RenderableType:
    """Return the progress of a run as a panel. Below the panel is an empty line for the cursor, so that an echoed ^C
    does not break the panel. `ended`: whether the run has ended. If so, the empty line and the rows of the running
    stage are left out."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(no_wrap=True, width=9)
    grid.add_column(no_wrap=True, justify="right", width=9)
    grid.add_column(ratio=1)

    def row(name: str, number: str, more: RenderableType) -> None:
        grid.add_row(Text(name), Text(number, style="bold"), more)

    funnel = s.funnel
    if s.round is not None:
        lost = ", ".join(f"{WORDS[group]} {n:,}" for group, n in ((g, funnel.lost.get(g, 0)) for g in WORDS) if n)
        row("proposed", f"{funnel.proposed:,}", Text(f"lost: {lost or 'none'}"))
        row(
            "accepted",
            f"{funnel.accepted:,}",
            Text(f"of {count(s.need)} wanted" if s.stage == f"round {s.round}" else ""),
        )
        note = "counted when enough are accepted" if funnel.duplicates is None else f"{funnel.duplicates:,} duplicates"
        row("distinct", count(funnel.distinct), Text(note))
    done, total = (funnel.accepted, s.need) if s.stage == f"round {s.round}" else (s.done, s.total)
    if total:
        share = percent(done, total, ended)
        row("done", f"{share}%", ProgressBar(total=100, completed=share))
    wrong = [] if s.committee is None else loud(s.committee)
    if s.committee is not None:
        row("reviewers", alpha(s.committee), Text(agreement(s.committee)))
        for words in wrong:
            row("", "COMMITTEE", Text(words, style="bold red"))
    rates = s.rates
    replayed = f", {s.replayed:,} from the journal" if s.replayed else ""
    row("calls", f"{rates.calls_s:,.0f}/s" if rates else "-", Text(f"{s.answered:,} answered{replayed}"))
    if rates is not None:
        both, parts = (
            rates.tokens_in_s + rates.tokens_out_s,
            f"in {short(rates.tokens_in_s)}/s, out {short(rates.tokens_out_s)}/s",
        )
        row("tokens", f"{short(both)}/s", Text(parts))
    else:
        row("tokens", "-", Text(""))
    if not ended:
        flying = ", ".join(f"{model} {n:,}" for model, n in sorted(s.in_flight.items()) if n)
        row("in flight", f"{sum(s.in_flight.values()):,}", Text(flying or "-"))
        if s.servers and (shown := limits(s.servers)):
            row("limits", "", Text(shown))
        in_total = f"; {span(s.eta_run_s)} in total" if s.eta_run_s is not None else ""
        row("left", span(s.eta_s), Text(f"in this stage{in_total}"))
    if s.servers_out is not None:
        names = ", ".join(unhealthy(s.servers or ()) or s.servers_out)
        row("servers", f"{len(s.servers_out)} out", Text(names, style="bold red") if names else Text("all healthy"))
    title = Text(f" {_title(s)}, {span(s.elapsed_s)} ")
    frame = Panel(grid, title=title, title_align="left", border_style="red" if s.servers_out or wrong else "dim")
    return frame if ended else Group(frame, Text(""))


def percent(done: int, total: int, ended: bool) -> int:
    """Return `done` as a percentage of `total`, rounded down. `ended`: whether the stage has ended. If it has not, the
    result is at most 99, because duplicates may still have to be replaced."""
    return min(100 * done // total, 100 if ended and done >= total else 99)


def _title(s: Snapshot) -> str:
    if s.round is None or s.rounds is None:
        return s.stage or "starting"
    return s.stage.replace(f"round {s.round}", f"round {s.round} of {s.rounds}", 1)
