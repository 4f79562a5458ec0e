"""Prints the progress of `gra run`: one line per event and, on a terminal, a status line for the running steps."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from gra.fileio import read_json
from gra.labels import PARTIAL

STATUS, STALE_S = "status.json", 30.0
FIRST_S, LINE_S = 4.0, 60.0  # without a terminal: seconds to a step's first line, and between later lines
_TAIL = 4000  # bytes read from the end of a log


class Display:
    """Prints the progress of `gra run` to standard error, because standard output holds only the table.

    Use it as a context manager.
    """

    def __init__(self, total: int) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._status = self._console.status("")
        self._total = total
        self._finished = 0
        self._relayed: dict[float, float] = {}  # start time of a running step -> time when its last line was printed

    def __enter__(self) -> Display:
        if self._console.is_terminal:  # the status line redraws in a thread, even if no terminal shows it
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def line(self, text: str, style: str = "") -> None:
        """Print one event."""
        self._console.print(escape(text), style=style or None)

    def reused(self, name: str, folder: Path) -> None:
        self._finished += 1
        self.line(f"{self._count()} {name}: already finished ({folder.name})", "dim")

    def same(self, name: str, first: str) -> None:
        self._finished += 1
        self.line(f"{self._count()} {name}: same result as {first}", "dim")

    def started(self, name: str, log: Path) -> None:
        self.line(f"{' ' * len(self._count())} {name}: started (log: {log})")

    def done(self, name: str, seconds: float, folder: Path) -> None:
        self._finished += 1
        self.line(f"{self._count()} {name}: done in {duration(seconds)} ({folder.name})", "green")

    def failed(self, name: str, code: int, log: Path) -> None:
        self.line(f"{' ' * len(self._count())} {name}: FAILED (exit code {code}); last lines of {log}:", "red")
        for text in tail(log, 15):
            self.line(f"    | {text}")

    def empty(self, name: str, log: Path) -> None:
        self._finished += 1
        self.line(f"{self._count()} {name}: kept no sample, so its arm has no student (reasons: {log})", "yellow")

    def tick(self, running: Mapping[str, tuple[float, Path]]) -> None:
        """Refresh the status line. `running`: step -> the time of its start (by time.monotonic()) and the path of its
        log."""
        now = time.monotonic()
        if not self._console.is_terminal:
            self._relay(running, now)
            return
        parts = []
        for name, (start, log) in running.items():
            last = status_line(log.with_suffix(PARTIAL)) or next(iter(tail(log, 1)), "")
            parts.append(f"{name} {duration(now - start)}" + (f": {last[:100]}" if last else ""))
        self._status.update(escape("  |  ".join(parts)))

    def _relay(self, running: Mapping[str, tuple[float, Path]], now: float) -> None:
        """Print each step's status a few seconds after its start, then once a minute. Used without a terminal."""
        for name, (start, log) in running.items():
            first = start not in self._relayed
            if now - self._relayed.get(start, start) < (FIRST_S if first else LINE_S):
                continue
            last = status_line(log.with_suffix(PARTIAL)) or next(iter(tail(log, 1)), "")
            if last:
                self._relayed[start] = now
                self.line(f"{' ' * len(self._count())} {name} {duration(now - start)}: {last[:200]}", "dim")

    def _count(self) -> str:
        width = len(str(self._total))
        return f"[{self._finished:>{width}}/{self._total}]"


def status_line(folder: Path) -> str:
    """Return the status of a running step as one line of text. `folder`: the folder in which the step works.

    The line is read from the file status.json, which some stages write every few seconds. If there is no such file, or
    if it is old because the stage was killed, return "".
    """
    try:
        status = read_json(folder / STATUS)
        fresh = abs(time.time() - status["updated_at"]) < STALE_S
        return "".join(c if c.isprintable() else " " for c in str(status["line"])) if fresh else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def tail(path: Path, lines: int) -> list[str]:
    """Return the last non-empty lines of a text file. If the file cannot be read, return [].

    `lines`: how many lines are wanted. Only the end of the file is read, so fewer lines may be returned.
    """
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, path.stat().st_size - _TAIL))
            text = handle.read().decode(errors="replace")
    except OSError:
        return []
    # a progress bar redraws its line with \r: keep the last state
    found = [line.rsplit("\r", 1)[-1].rstrip() for line in text.replace("\r\n", "\n").rstrip("\r\n").split("\n")]
    return ["".join(c if c.isprintable() else " " for c in line) for line in found if line.strip()][-lines:]


def duration(seconds: float) -> str:
    """Return a duration as `12 s`, `3 min 05 s` or `2 h 07 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
