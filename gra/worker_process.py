"""Runs an object in a separate process. The main process calls models and reads their replies; large or slow work of
the object neither fills its memory nor delays it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any

from gra.errors import ConfigError, GraError, SynthesisError

NICE = 5
CLOSE_S, AGAIN_S = 30.0, 0.5  # seconds after which a process that has not ended is killed; seconds between two SIGTERMs
_starting = threading.Lock()


class WorkerProcess:
    """A separate process that builds and holds the object `make(*arguments)`. The method `call` calls the object's
    methods by name, one at a time.

    The process ends when the WorkerProcess is closed or when the parent process ends, even if the parent is killed
    (kill -9). If the object has a method `close`, the process calls this method before it ends. `needs`: how much
    memory the process needs, as text. If the process dies, the error quotes this text, because the usual cause is a
    lack of memory.
    """

    def __init__(self, name: str, needs: str, make: Callable[..., Any], *arguments: Any):
        self._name, self._needs = name, needs
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, arguments), name=f"gra-{name}", daemon=True)
        with without_main():
            self._process.start()
        if hasattr(os, "setpriority"):  # lower priority: replies come first
            with contextlib.suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, self._process.pid or 0, NICE)
        theirs.close()
        self._turns = ThreadPoolExecutor(1, thread_name_prefix=f"gra-{name}")

    def call(self, method: str, *arguments: Any) -> Future[Any]:
        """Call a method of the object, and return a future of the method's value. Calls run in the order in which they
        are made.

        If the method raises ConfigError, the future raises it too. If the method raises another error, or if the
        process has ended, the future raises SynthesisError.
        """
        return self._turns.submit(self._ask, method, arguments)

    def close(self) -> None:
        """End the process. Unfinished work is lost. If the process has not ended after about CLOSE_S seconds, it is
        killed (SIGKILL).

        SIGTERM is sent repeatedly, because a single one may have no effect. Python runs a signal's handler only between
        two instructions. If SIGTERM arrives just before the process begins to wait for its next call, the handler does
        not run while the process waits.
        """
        self._turns.shutdown(wait=False, cancel_futures=True)
        for _ in range(int(CLOSE_S / AGAIN_S)):
            self._process.terminate()
            self._process.join(AGAIN_S)
            if self._process.exitcode is not None:
                break
        else:
            self._process.kill()
            self._process.join()
        self._pipe.close()

    def _ask(self, method: str, arguments: tuple[Any, ...]) -> Any:
        try:
            self._pipe.send((method, arguments))
            fault, value = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise SynthesisError(
                f"the {self._name} process ended ({error or type(error).__name__}); it needs {self._needs}. "
                "Run the same command again to resume from the journal"
            ) from error
        if isinstance(fault, str):
            raise SynthesisError(fault)
        if fault is not None:
            raise ConfigError(fault)
        return value


@contextlib.contextmanager
def without_main() -> Iterator[None]:
    """While the context lasts, prevent new processes from importing the caller's script. By default, `spawn` imports
    this script in each new process. A script without `if __name__ == "__main__":` would then run again."""
    with _starting:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def _serve(pipe: Connection, make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Answer calls until the pipe closes. It closes when the parent ends, even if the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
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
            except Exception as error:  # noqa: BLE001 the parent raises it as a SynthesisError
                fault = f"{type(error).__name__}: {error}"
            pipe.send((fault, value))
    except (EOFError, OSError):
        _leave(kept)


def _leave(kept: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it may be sent again meanwhile
    close = getattr(kept, "close", None)
    if close is not None:
        close()
    os._exit(0)
