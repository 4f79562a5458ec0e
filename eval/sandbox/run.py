"""Runs one or many programs in the sandbox, with limits, and returns verdicts."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Literal

from gra.eval.sandbox.isolation import Isolation, absent, candidates, interpreter, search_path
from gra.eval.sandbox.limits import Limits

FIRST_USER, USERS = (
    1 << 20,
    1 << 16,
)  # user ids of sandboxes started by root, one per sandbox; above those of real users
OVERRIDE = "suite.sandbox=none"
Reason = Literal["passed", "failed", "timeout", "output", "killed"]


class SandboxError(Exception):
    """No sandbox works on this machine."""


@dataclass(frozen=True)
class Verdict:
    """How a program ended. `said`: the last part of its output.

    The attribute `reason` is one of:

    - `passed`: the program ran to its last line.
    - `failed`: it raised an exception or exited early.
    - `timeout`: it ran too long.
    - `output`: it printed too much.
    - `killed`: the kernel or the program itself killed it.
    """

    reason: Reason
    said: str = ""

    @property
    def passed(self) -> bool:
        """Return whether the program ran to its last line."""
        return self.reason == "passed"


@cache
def isolation() -> Isolation:
    """Return the best way of isolation that works on this machine. Each is tried with a small program.

    Raises SandboxError if none works. The message names the setting that runs programs without a sandbox (OVERRIDE).
    """
    tried = []
    for way in candidates():
        refused = refusal(way, "import os\nassert os.listdir('/tmp') == []")
        if refused is None:
            return way
        tried.append(f"{way.name}: {refused}")
    raise SandboxError(
        f"no sandbox for model-written code: {'; '.join(tried) or absent()}\n"
        f"    -> install bubblewrap, or allow user namespaces; {OVERRIDE} runs the code without a sandbox, at your own risk"
    )


def refusal(way: Isolation, program: str = "pass") -> str | None:
    """Run a harmless program in the isolation `way`. If the program fails, return the reason, else None."""
    verdict = run_one(program, Limits(), way)
    return None if verdict.passed else verdict.said.strip()[-200:] or verdict.reason


def run_all(
    programs: Sequence[str],
    limits: Limits | None = None,
    workers: int | None = None,
    done: Callable[[int], None] | None = None,
    way: Isolation | None = None,
) -> list[Verdict]:
    """Run the programs and return their verdicts in the same order.

    `workers`: the number of programs that run at a time. None means one per core.
    `done`: a function that is called after each verdict, with the number of verdicts so far.
    `way`: the way of isolation. None means the best that works here.

    Raises SandboxError before running anything if no sandbox works.
    """
    way, limits, ended = way or isolation(), limits or Limits(), 0
    verdicts = []
    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0))) as pool:
        for verdict in pool.map(lambda program: run_one(program, limits, way), programs):
            verdicts.append(verdict)
            ended += 1
            if done is not None:
                done(ended)
    return verdicts


def run_one(program: str, limits: Limits, way: Isolation) -> Verdict:
    """Run one program and return its verdict.

    If the program fails, the verdict says so. No exception is raised.
    """
    token = secrets.token_hex(16).encode()
    token_read, token_write = os.pipe()
    report_read, report_write = os.pipe()
    os.write(token_write, token)
    os.close(token_write)
    user = FIRST_USER + secrets.randbelow(USERS) if os.getuid() == 0 and way.own_user else None
    job = {"program": program, "limits": limits.rlimits(), "user": user, "token": token_read, "report": report_write}
    command = way.wrap([interpreter(), "-I", "-S", "-B", "-c", _inside()], limits.scratch_mb)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(token_read, report_write),
            start_new_session=True,
            cwd="/",
            env={"PATH": search_path()},
        )
    finally:
        os.close(token_read)
        os.close(report_write)
    with process, os.fdopen(report_read, "rb") as report:
        try:
            _feed(process, json.dumps(job).encode())
            said, stopped = _collect(process, limits)
        finally:
            _end(process)
        return _verdict(report.read(64) == token, stopped, process.wait(), said)


@cache
def _inside() -> str:
    return (Path(__file__).parent / "inside.py").read_text(encoding="utf-8")


def _feed(process: subprocess.Popen[bytes], job: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(job)
        process.stdin.close()
    except BrokenPipeError:
        pass  # the isolation failed to start, and its output says why


def _collect(process: subprocess.Popen[bytes], limits: Limits) -> tuple[bytes, Reason | None]:
    """Return the program's output and the reason why it was stopped; the reason is None if the program ended by itself.

    Output is collected until the program ends, prints too much, or exceeds its time.
    """
    deadline, said = time.monotonic() + limits.seconds, b""
    out: IO[bytes] | None = process.stdout
    assert out is not None
    with selectors.DefaultSelector() as selector:
        selector.register(out, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return said, "timeout"
            if not selector.select(left):
                continue
            piece = os.read(out.fileno(), 1 << 16)
            if not piece:
                break
            said += piece
            if len(said) > limits.output_kb << 10:
                return said, "output"
    try:
        process.wait(max(deadline - time.monotonic(), 0.01))
    except subprocess.TimeoutExpired:
        return said, "timeout"
    return said, None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the sandbox's first process. The kernel or the wrapper then kills all others."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _verdict(reported: bool, stopped: Reason | None, code: int, said: bytes) -> Verdict:
    text = said[-2000:].decode("utf-8", "replace")
    if stopped is not None:
        return Verdict(stopped, text)
    if reported and code == 0:
        return Verdict("passed", text)
    return Verdict("failed" if code == 1 else "killed", text)
