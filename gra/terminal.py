"""Provides what all terminal displays share: the console, log lines above a live display, and short forms of times and
rates."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console


def terminal() -> Console | None:
    """Return a console on standard error if that is a terminal with cursor control, else None."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    return None if console.is_dumb_terminal else console


def columns(piped: int = 100) -> int:
    """Return the terminal's width in characters, at least 60.

    The width is the value of the environment variable COLUMNS. If COLUMNS is not set, the width of the terminal at
    standard output is used. If output goes to a pager or file, the width of the terminal at standard error is used. If
    neither stream is a terminal, the width is the argument `piped`.
    """
    for stream in (sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(AttributeError, ValueError, OSError):
            piped = os.get_terminal_size(stream.fileno()).columns or piped  # type: ignore[union-attr]
            break
    return max(60, shutil.get_terminal_size((piped, 24)).columns)


@contextlib.contextmanager
def logging_above(before: TextIO) -> Iterator[None]:
    """While the context lasts, print log lines above a live display. The display has replaced sys.stderr. `before`: the
    stream that was sys.stderr until then. Log handlers that wrote to `before` write to the new sys.stderr instead."""
    handlers = [h for h in logging.getLogger().handlers if isinstance(h, logging.StreamHandler) and h.stream is before]
    for handler in handlers:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler in handlers:
            handler.setStream(before)


def span(seconds: float | None) -> str:
    """Return a duration as `42 s`, `3:05 min`, `2:07 h` or `4 days`; `-` for None."""
    if seconds is None:
        return "-"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    if whole < 48 * 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d} h"
    return f"{whole // 86400} days"


def short(value: float) -> str:
    """Return a rate or count with up to three digits: 7.5, 950, 12.3k, 4.56M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            scaled = value / size
            return f"{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f}{unit}"
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def count(value: int | None) -> str:
    """Return a count as `1,234`; `-` for None."""
    return "-" if value is None else f"{value:,}"
