"""Runs copies of a model in separate processes, one per device. A process takes the next batch as soon as it is free."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import connection
from typing import Any, Protocol

from gra.errors import EvalError
from gra.eval.backends import ModelRequest, OnReplies
from gra.eval.settings import Model
from gra.worker_process import without_main

GRACE_S = 5.0  # seconds to wait for a process to exit


class Answering(Protocol):
    """A loaded model that answers batches of requests."""

    def answer(self, kind: str, requests: Sequence[ModelRequest]) -> list[Any]: ...


Loader = Callable[[Model, bool, str], Answering]  # model, whether prompts are chats, device; importable by its name


class Processes:
    """A group of processes, one per device, that answer requests together.

    `load`: a function that loads the model. Each process calls it when it gets its first batch.
    `threads`: the number of torch threads per process. If it is None, processes on GPUs use torch's default, and
    processes on a CPU share its cores equally.
    """

    def __init__(self, load: Loader, model: Model, chat: bool, devices: Sequence[str], threads: int | None):
        context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
        if threads is None and devices[0] == "cpu":
            threads = max(1, _cores() // len(devices))
        self._workers: dict[Any, tuple[Any, str]] = {}
        for device in devices:
            mine, theirs = context.Pipe()
            worker = context.Process(target=_serve, args=(theirs, load, model, chat, device, threads), daemon=True)
            with without_main():
                worker.start()
            theirs.close()
            self._workers[mine] = worker, device

    def answer(self, kind: str, pieces: Sequence[Sequence[ModelRequest]], on_replies: OnReplies) -> None:
        """Answer all requests, as EvalBackend.answer does.

        Raises EvalError if a process fails or dies. Replies that `on_replies` got before the failure are kept.
        """
        due = list(reversed(pieces))
        busy: dict[Any, Sequence[ModelRequest]] = {}
        while due or busy:
            for pipe in self._workers:
                if due and pipe not in busy:
                    busy[pipe] = due.pop()
                    self._send(pipe, (kind, list(busy[pipe])))
            for ready in connection.wait(list(busy)):
                replies, fault = self._receive(ready)
                if fault is not None:
                    raise EvalError(f"the model on {self._workers[ready][1]}: {fault}")
                on_replies(busy.pop(ready), replies)

    def close(self) -> None:
        """End the processes.

        A process without work exits when its pipe closes. A process that still runs after GRACE_S seconds is
        terminated. If it still runs after another GRACE_S seconds, it is killed.
        """
        for pipe in self._workers:
            pipe.close()
        for worker, _ in self._workers.values():
            worker.join(GRACE_S)
            if worker.is_alive():
                worker.terminate()
                worker.join(GRACE_S)
            if worker.is_alive():
                worker.kill()

    def _send(self, pipe: Any, message: Any) -> None:
        try:
            pipe.send(message)
        except OSError:
            raise self._gone(pipe) from None

    def _receive(self, pipe: Any) -> tuple[list[Any], str | None]:
        try:
            found: tuple[list[Any], str | None] = pipe.recv()
        except (EOFError, OSError):
            raise self._gone(pipe) from None
        return found

    def _gone(self, pipe: Any) -> EvalError:
        worker, device = self._workers[pipe]
        worker.join(10)
        return EvalError(
            f"the process with the model on {device} ended (exit code {worker.exitcode}; -9: killed, often for lack of memory)\n"
            "    -> run the same command again to resume, with fewer runtime.processes if memory is short"
        )


def _cores() -> int:
    """Return the number of cores that this process may use, often fewer in a container or batch job than the machine has.

    macOS reports all cores.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _serve(pipe: Any, load: Loader, model: Model, chat: bool, device: str, threads: int | None) -> None:
    """Run the main loop of a process: read batches, send replies or a fault, and return when the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles Ctrl-C
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    local: Answering | None = None
    while True:
        try:
            kind, requests = pipe.recv()
        except EOFError:
            return
        try:
            local = local or load(model, chat, device)
            pipe.send((local.answer(kind, requests), None))
        except EvalError as error:
            pipe.send(([], str(error)))
        except Exception:  # noqa: BLE001 any fault ends the run in the parent process
            pipe.send(([], f"failed:\n{traceback.format_exc()}"))


def _end_with_parent() -> None:
    """Exit when the parent process dies.

    Without this thread, a process busy with a batch would not notice and would keep its GPU.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
