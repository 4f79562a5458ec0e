"""Copies of a model in processes of their own, one a device; each answers one batch at a time, whichever is next."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Sequence
from multiprocessing import connection
from typing import Any

from eval.backends import Ask, Told
from eval.settings import Model
from gra.errors import EvalError

GRACE_S = 5.0  # for a process to end by itself


class Processes:
    """Starts one process for each of `devices`; they load the model when they are first asked. `threads`: of torch in each."""

    def __init__(self, model: Model, chat: bool, devices: Sequence[str], threads: int | None):
        context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
        if threads is None and devices[0] == "cpu":
            threads = max(1, _cores() // len(devices))
        self._workers: dict[Any, tuple[Any, str]] = {}
        for device in devices:
            mine, theirs = context.Pipe()
            worker = context.Process(target=_serve, args=(theirs, model, chat, device, threads), daemon=True)
            worker.start()
            theirs.close()
            self._workers[mine] = worker, device

    def answer(self, kind: str, pieces: Sequence[Sequence[Ask]], told: Told) -> None:
        """As backends.Backend has it. Raises EvalError where a process fails or ends; the others' batches count until then."""
        due = list(reversed(pieces))
        busy: dict[Any, Sequence[Ask]] = {}
        while due or busy:
            for pipe in self._workers:
                if due and pipe not in busy:
                    busy[pipe] = due.pop()
                    self._send(pipe, (kind, list(busy[pipe])))
            for ready in connection.wait(list(busy)):
                replies, fault = self._receive(ready)
                if fault is not None:
                    raise EvalError(f"the model on {self._workers[ready][1]}: {fault}")
                told(busy.pop(ready), replies)

    def close(self) -> None:
        """End the processes: idle ones by themselves, others at once."""
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
            f"the process with the model on {device} ended (exit code {worker.exitcode}; -9: killed, often for memory)\n"
            "    -> what was answered is kept: run the same command again, with fewer runtime.processes if memory is short"
        )


def _cores() -> int:
    """Those that this process may use: of a container or a batch job often a few of the machine's. macOS does not tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _serve(pipe: Any, model: Model, chat: bool, device: str, threads: int | None) -> None:
    """A process: batches in, replies or a fault out, until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    import torch

    from eval.backends.hf import Local

    if threads is not None:
        torch.set_num_threads(threads)
    local: Local | None = None
    while True:
        try:
            kind, asks = pipe.recv()
        except EOFError:
            return
        try:
            local = local or Local(model, chat, device)
            pipe.send((local.answer(kind, asks), None))
        except EvalError as error:
            pipe.send(([], str(error)))
        except Exception:  # noqa: BLE001 whatever it is, it ends the run, over there
            pipe.send(([], f"failed:\n{traceback.format_exc()}"))


def _end_with_parent() -> None:
    """A killed parent closes no pipe of a process that computes: nobody would wait for what it holds a GPU for."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
