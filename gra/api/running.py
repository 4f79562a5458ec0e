"""Runs a stage for a caller in Python: in the calling thread, or in another thread if the caller runs an event loop (a
notebook)."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from gra.api.composing import composed
from gra.chain.execution.runner import Result
from gra.chain.execution.single import carry_out
from gra.errors import ARROW, GraError, Problem

T = TypeVar("T")
IN_PYTHON = "In Python: `output=DIR` is the argument output='DIR'; any other `KEY=VALUE` is config={'KEY': VALUE}, a list included."
_COMMAND_WORDS = re.compile(rf"{re.escape(ARROW.strip())} .*\b(?!(?:config|experiment)=)[a-z][\w.]*=\S")  # in a remedy


def run_stage(
    target: str, app: str, output: str | Path, values: Mapping[str, Any], problems: Sequence[Problem] = ()
) -> Result:
    """Check the config conf/`app`.yaml, changed by `values`, and run the stage `target` with it.

    `problems`: faults already found in the caller's arguments. They are reported together with the faults of the
        config.

    Raises ConfigError, or what the stage raises. If the message of an error tells the user to set keys as on a command
    line (KEY=VALUE), a note is added that says how to set them in Python.
    """
    try:
        found = composed(app, output, values)
        faults = [*problems, *found.problems]
        with reported():
            return beside_a_loop(
                lambda: carry_out(
                    target, found.config, found.inputs, found.output, faults, found.unresolved, found.sources
                )
            )
    except GraError as error:  # its text says what to do, which a traceback of fifty lines would hide
        if _COMMAND_WORDS.search(str(error)):
            error.add_note(IN_PYTHON)
        raise error.with_traceback(None) from error.__cause__


@contextmanager
def reported() -> Iterator[None]:
    """Show the log lines of this project during the `with` block, as the commands do.

    If the caller has set a level for the logger `gra`, this level applies. If the root logger has no handler, the lines
    go to standard error.
    """
    own, root, handler = logging.getLogger("gra"), logging.getLogger(), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    before, shown = own.level, root.hasHandlers()
    if before == logging.NOTSET:
        own.setLevel(logging.INFO)
    if not shown:
        root.addHandler(handler)
    try:
        yield
    finally:
        own.setLevel(before)
        root.removeHandler(handler)


def beside_a_loop(work: Callable[[], T]) -> T:
    """Call `work` and return its result, even if this thread already runs an event loop, as a notebook does.

    A stage starts an event loop of its own, and a thread can run only one. So if this thread runs a loop, `work` is
    called in another thread. Ctrl-C (a notebook's "interrupt") then ends only the waiting: `work` continues until it
    finishes or the process ends. In a script, Ctrl-C stops the stage as on the command line.
    """
    if not _loop_runs():
        return work()
    ended: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            ended.append(work())
        except BaseException as error:  # noqa: BLE001 raised again in the caller's thread
            failed.append(error)

    thread = threading.Thread(target=run, name="gra", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return ended[0]


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # handled here, so that it is not the context of what `work` raises
        return False
    return True
