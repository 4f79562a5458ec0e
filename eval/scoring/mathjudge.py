"""Compares mathematical expressions with math-verify in separate processes, which can be killed.

math-verify passes model-written text to sympy, and a short reply ("9^{9^{9}}") can keep sympy busy forever or use all
memory. math-verify's time limits work only in the main thread and cannot interrupt C code. Worker processes therefore
judge the pairs. Each pair gets `CPU_SECONDS` of CPU time (not wall-clock time, so that a busy machine judges like an
idle one), and a worker that does not return is killed. A pair without a verdict counts as unequal. PYTHONHASHSEED fixes
Python's string hashes: they determine the order of sets, and sympy's results can depend on that order.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import IO, Any

import gra
from gra.errors import EvalError

CPU_SECONDS = 10.0
CLOCK_SECONDS = 60.0  # wall-clock limit for C code, which the CPU limit cannot interrupt
START_SECONDS = 180.0
MEMORY = 4 << 30  # bytes of address space
EACH = 20  # least number of pairs per worker, because starting a worker takes a second or two
_idle: list[_Worker] = []
_lock = threading.Lock()


def equal_all(pairs: Sequence[tuple[str, str]], workers: int | None = None) -> list[bool]:
    """Return, for each pair (right expression, answer), whether the two are equal. Both are LaTeX or plain text.

    `workers`: the number of processes that judge pairs. None means one per core.

    Raises EvalError if math-verify cannot be started.
    """
    if not pairs:
        return []
    count = min(workers or len(os.sched_getaffinity(0)), -(-len(pairs) // EACH))
    verdicts: list[bool] = [False] * len(pairs)
    todo: Iterator[tuple[int, tuple[str, str]]] = iter(enumerate(pairs))

    def work() -> None:
        worker = _take()
        try:
            while True:
                with _lock:
                    place, pair = next(todo, (None, None))
                if place is None or pair is None:
                    return
                verdict = worker.ask(pair)
                if verdict is None:
                    worker.stop()
                    worker = _Worker()
                verdicts[place] = bool(verdict)
        finally:
            with _lock:
                _idle.append(worker)

    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(work) for _ in range(count)]:
            done.result()
    return verdicts


class _Worker:
    """A process that answers each pair, sent as one JSON line, with 1 or 0."""

    def __init__(self) -> None:
        root = str(Path(gra.__file__).resolve().parents[1])
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from gra.eval.scoring.mathjudge import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": "0"},
        )
        if self._line(START_SECONDS) != b"ready\n":
            said = self.stop()[-600:]
            raise EvalError(f"math-verify cannot be started: {said}\n    -> pip install 'math-verify[antlr4_9_3]'")

    def ask(self, pair: tuple[str, str]) -> bool | None:
        """Return whether the two expressions of a pair are equal.

        Return None if the worker failed and has to be replaced.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(pair).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        return {b"1\n": True, b"0\n": False}.get(self._line(CLOCK_SECONDS))

    def stop(self) -> str:
        """Kill the process and return its error output."""
        self.process.kill()
        return self.process.communicate()[1].decode("utf-8", "replace").strip()

    def _line(self, seconds: float) -> bytes:
        """Return the next line of output. After the time limit or the end of the process the line is incomplete."""
        out: IO[bytes] | None = self.process.stdout
        assert out is not None
        said, deadline = b"", time.monotonic() + seconds
        with DefaultSelector() as selector:
            selector.register(out, EVENT_READ)
            while not said.endswith(b"\n") and selector.select(max(deadline - time.monotonic(), 0)):
                piece = os.read(out.fileno(), 64)
                if not piece:
                    break
                said += piece
        return said


def _take() -> _Worker:
    with _lock:
        while _idle:
            worker = _idle.pop()
            if worker.process.poll() is None:
                return worker
            worker.stop()
    return _Worker()


@atexit.register
def _stop_all() -> None:
    while _idle:
        _idle.pop().stop()


class _TimeUp(BaseException):
    """Raised when the CPU time is used up. It is a BaseException, because sympy catches every Exception."""


def serve() -> None:
    """Run a worker's main loop, which reads pairs from stdin and writes a verdict on each to stdout, until stdin
    closes.
    """
    import logging
    import resource
    import signal
    import warnings

    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    _same("\\boxed{\\frac{1}{2}}", "\\boxed{0.5}")  # builds the parser's tables
    os.dup2(silent, 2)
    with contextlib.suppress(ValueError, OSError):  # if memory cannot be limited, the time limits still apply
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    def up(*_: Any) -> None:
        raise _TimeUp

    signal.signal(signal.SIGPROF, up)
    answers.write(b"ready\n")
    for line in sys.stdin.buffer:
        gold, answer = json.loads(line)
        verdict = False
        try:
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS, 1.0)  # repeats every second, in case _TimeUp was caught
            verdict = _same(gold, answer)
        except (_TimeUp, MemoryError, RecursionError):
            pass
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(b"1\n" if verdict else b"0\n")


def _same(gold: str, answer: str) -> bool:
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    kinds = (LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig())
    right, mine = (parse(text, kinds, parsing_timeout=None) for text in (gold, answer))
    return bool(right) and bool(mine) and bool(verify(right, mine, timeout_seconds=None))
