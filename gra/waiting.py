"""Reports what the program is waiting for: first within two seconds, then every ten seconds. Writes to the log, or to
standard error before logging is set up."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator

LOOK_S, EVERY_S = 1.0, 10.0

log = logging.getLogger("gra")


@contextlib.contextmanager
def reported(what: str | Callable[[], str | None], every_s: float = EVERY_S, after_s: float = 0.0) -> Iterator[None]:
    """While the context lasts, report what the program waits for, and how many seconds it has waited.

    `what`: the text to report, or a function that returns it. A thread calls this function once a second. The function
    returns None while there is nothing to wait for. A wait is first reported after at least a second and at least
    `after_s` seconds, and then every `every_s` seconds.
    """
    stop = threading.Event()

    def look() -> None:
        since = time.monotonic()
        said: float | None = None
        while not stop.wait(LOOK_S):
            text = what() if callable(what) else what
            now = time.monotonic()
            if text is None:
                since, said = now, None
            elif now - since >= after_s and (said is None or now - said >= every_s):
                said = now
                _say(f"{text}, {now - since:.0f} s")

    thread = threading.Thread(target=look, name="waiting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _say(text: str) -> None:
    if logging.getLogger().hasHandlers():
        log.info("%s", text)
        return
    with contextlib.suppress(OSError):  # standard error is closed
        print(text, file=sys.stderr, flush=True)
