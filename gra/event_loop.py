"""Runs a coroutine on uvloop's event loop, which uses less CPU time per model call than asyncio's. If uvloop is not
installed, as on Windows, asyncio's loop is used."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from gra.signals import PREEMPTING

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine `main` like `asyncio.run`, but with fewer garbage collections. The garbage collector has little
    to do, because reference counting frees the objects of model calls, and imported modules stay in memory."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    with _handlers_restored():
        if importlib.util.find_spec("uvloop") is None:
            return asyncio.run(main)
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)


@contextmanager
def _handlers_restored() -> Iterator[None]:
    """Restore the handlers of Ctrl-C and of a batch system's signals on exit, even if the block changed them."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can set handlers
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *PREEMPTING)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: set by code that is not Python's, which cannot be restored
                signal.signal(number, handler)
