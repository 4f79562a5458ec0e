"""SIGTERM and SIGUSR1 where nothing better is done about them: the process leaves with exit code 85, at once and in order.

Batch systems announce the end of a job with these signals; 85 tells them that the same command goes on (`gra.errors`). A stage
that has something to finish first has handlers of its own while it runs (train/preempt.py, gra/synthesis/conduct.py).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gra.errors import EXIT_PREEMPTED

PREEMPTING = (signal.SIGTERM, signal.SIGUSR1)


@contextmanager
def leaving_on_preemption() -> Iterator[None]:
    """While it is open, SIGTERM and SIGUSR1 end the process as SystemExit(85) does: `finally` clauses run, nothing else does.

    Outside the main thread, where Python lets no handler be set, and where somebody else has set one, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def leave(number: int, _frame: object) -> None:
        if os.getpid() != owner:  # a forked child, which has inherited this handler: it goes as it would without it
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        say(f"{signal.Signals(number).name}: leaving; the same command goes on from what is done (exit code {EXIT_PREEMPTED})")
        raise SystemExit(EXIT_PREEMPTED)

    ours = [number for number in PREEMPTING if signal.getsignal(number) == signal.SIG_DFL]
    for number in ours:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in ours:
            if signal.getsignal(number) is leave:
                signal.signal(number, signal.SIG_DFL)


def say(text: str) -> None:
    """Write a line to standard error past Python's buffers, which a signal handler may have caught in the midst of a write."""
    try:
        os.write(2, f"{text}\n".encode())
    except OSError:
        return  # nobody listens any more
