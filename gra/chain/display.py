"""What `gra run` says while it works: a line per event, and on a terminal a status line of what is running."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from gra.chain.store import PARTIAL
from gra.fileio import read_json

STATUS, STALE_S = "status.json", 30.0
FIRST_S, LINE_S = 4.0, 60.0  # seconds until a step's first line, and between the others, where there is no terminal
_TAIL = 4000  # bytes of a log looked at for its last line


class Display:
    """Lines go to standard error, so that standard output holds the table alone. Use as a context manager."""

    def __init__(self, total: int) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._status = self._console.status("")
        self._total = total
        self._finished = 0
        self._relayed: dict[float, float] = {}  # start of a step that runs -> when a line of its was printed last

    def __enter__(self) -> Display:
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def line(self, text: str, style: str = "") -> None:
        """One event."""
        self._console.print(escape(text), style=style or None)

    def reused(self, name: str, folder: Path) -> None:
        self._finished += 1
        self.line(f"{self._count()} {name}: done before ({folder.name})", "dim")

    def same(self, name: str, first: str) -> None:
        self._finished += 1
        self.line(f"{self._count()} {name}: the same as {first}", "dim")

    def started(self, name: str, log: Path) -> None:
        self.line(f"{' ' * len(self._count())} {name}: started (log: {log})")

    def done(self, name: str, seconds: float, folder: Path) -> None:
        self._finished += 1
        self.line(f"{self._count()} {name}: done in {duration(seconds)} ({folder.name})", "green")

    def failed(self, name: str, code: int, log: Path) -> None:
        self.line(f"{' ' * len(self._count())} {name}: FAILED (exit code {code}); the end of {log}:", "red")
        for text in tail(log, 15):
            self.line(f"    | {text}")

    def tick(self, running: Mapping[str, tuple[float, Path]]) -> None:
        """`running`: step -> (time.monotonic() at its start, its log)."""
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
        """Without a status line: what each step says of itself, some seconds after its start, and then once a minute."""
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
    """What the step at work in `folder` says of itself: `line` of the status.json that a stage may keep there and renew every
    few seconds. Empty where there is none or it is old: who wrote it was killed."""
    try:
        status = read_json(folder / STATUS)
        fresh = abs(time.time() - status["updated_at"]) < STALE_S
        return "".join(c if c.isprintable() else " " for c in str(status["line"])) if fresh else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def tail(path: Path, lines: int) -> list[str]:
    """The last non-empty lines of a text file that may be long, or []."""
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, path.stat().st_size - _TAIL))
            text = handle.read().decode(errors="replace")
    except OSError:
        return []
    # a progress bar redraws its line with \r: what counts is the last state
    found = [line.rsplit("\r", 1)[-1].rstrip() for line in text.replace("\r\n", "\n").rstrip("\r\n").split("\n")]
    return ["".join(c if c.isprintable() else " " for c in line) for line in found if line.strip()][-lines:]


def duration(seconds: float) -> str:
    """`12 s`, `3 min 05 s`, `2 h 07 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
