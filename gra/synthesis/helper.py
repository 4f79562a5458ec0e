"""An object that lives in a process of its own: what is large or slow there neither fills the memory of the process that
drives the calls nor holds up a single reply."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from gra.errors import ConfigError, GraError, SynthesisError

NICE = 5


class Helper:
    """`make(*arguments)`, made and kept in a new process; its methods are called by name, one after another.

    The process ends with this object, or with this process however it goes. An object with a method `close` is closed then.
    `needs`: what the process takes, for the message where it was lost (out of memory, mostly).
    """

    def __init__(self, name: str, needs: str, make: Callable[..., Any], *arguments: Any):
        self._name, self._needs = name, needs
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, arguments), name=f"gra-{name}", daemon=True)
        self._process.start()
        if hasattr(os, "setpriority"):  # from its first moment on: replies first, this fills what time they leave
            with contextlib.suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, self._process.pid or 0, NICE)
        theirs.close()
        self._turns = ThreadPoolExecutor(1, thread_name_prefix=f"gra-{name}")

    def call(self, method: str, *arguments: Any) -> Future[Any]:
        """Call a method there. The future has its value, or raises SynthesisError or ConfigError as the method did, or
        SynthesisError where the process is gone. Calls are carried out in the order they are made."""
        return self._turns.submit(self._ask, method, arguments)

    def close(self) -> None:
        """End the process; what it was still doing is dropped."""
        self._turns.shutdown(wait=False, cancel_futures=True)
        self._process.terminate()
        self._process.join()
        self._pipe.close()

    def _ask(self, method: str, arguments: tuple[Any, ...]) -> Any:
        try:
            self._pipe.send((method, arguments))
            fault, value = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise SynthesisError(
                f"the {self._name} process ended ({error or type(error).__name__}); it needs {self._needs}. "
                "The same command goes on from the journal"
            ) from error
        if isinstance(fault, str):
            raise SynthesisError(fault)
        if fault is not None:
            raise ConfigError(fault)
        return value


def _serve(pipe: Connection, make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """The process: answers until the pipe closes, which it does when the other side is gone, however it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that drives the calls
    kept = make(*arguments)
    signal.signal(signal.SIGTERM, lambda *_: _leave(kept))
    try:
        while True:
            method, values = pipe.recv()
            fault: Any = None
            value = None
            try:
                value = getattr(kept, method)(*values)
            except ConfigError as error:
                fault = error.problems
            except GraError as error:
                fault = str(error)
            except Exception as error:  # noqa: BLE001 the other side raises it again, in words
                fault = f"{type(error).__name__}: {error}"
            pipe.send((fault, value))
    except (EOFError, OSError):
        _leave(kept)


def _leave(kept: Any) -> None:
    close = getattr(kept, "close", None)
    if close is not None:
        close()
    os._exit(0)
