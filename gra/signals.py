"""Default handling of SIGTERM and SIGUSR1: the process runs its `finally` clauses and exits with code 85.

Batch systems send these signals before they end a job. Exit code 85 means that the same command, started again, resumes
the run (`gra.errors`). If a stage must do more before it exits, it installs handlers of its own (train/preempt.py,
gra/synthesis/engine/session.py).
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
    """During the `with` block, make SIGTERM and SIGUSR1 raise SystemExit(85), so that the process runs its `finally`
    clauses and exits.

    If a signal already has a handler, this handler stays. Python allows signal handlers only in the main thread. In any
    other thread, this function therefore does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def leave(number: int, _frame: object) -> None:
        if os.getpid() != owner:  # a forked child inherited this handler: it must end as it would without the handler
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        say(f"{signal.Signals(number).name}: stopping; the same command resumes (exit code {EXIT_PREEMPTED})")
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
    """Write a line directly to standard error, not through Python's buffers. A signal handler must not use these
    buffers, because the signal may have interrupted a write to them."""
    try:
        os.write(2, f"{text}\n".encode())
    except OSError:
        return  # standard error is closed
