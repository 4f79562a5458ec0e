"""The local executor: every step a process of its own, ready ones side by side, none lost when this one is killed.

A crash of one step (out of memory, a fault in a library) leaves the others and this process alone. Ctrl-C asks the running
steps to come to rest and starts no more; a second Ctrl-C kills them. SIGTERM and SIGUSR1, with which batch systems announce the
end of a job, do the same with exit code 85 in place of 130, whether they reach this process or a step (gra.errors.Preempted).
However it ends, the same command goes on from there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from gra.chain.display import Display
from gra.chain.manifest import now
from gra.chain.plan import Plan, Planned
from gra.chain.step import PARENT, Spec
from gra.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_PREEMPTED, StoreError
from gra.settings import Settings
from gra.signals import PREEMPTING

_POLL_SECONDS = 0.05
_PREEMPTED = {EXIT_PREEMPTED, *(-number for number in PREEMPTING)}  # negative: before the step could take the signal up


class ClusterSettings(Settings):
    """The `cluster` group for this executor."""

    executor: str = Field("local", pattern="^local$")
    max_parallel: int = Field(2, ge=1, description="Steps at once.")
    threads: int | None = Field(None, ge=1, description="OMP_NUM_THREADS of each; null: cores / max_parallel.")


@dataclass
class Account:
    """How a run went: step ids -> folders of what is done, exit codes of what failed, and what was not tried for it."""

    done: dict[str, Path] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    logs: dict[str, Path] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    interrupted: int = 0  # how many times
    preempted: bool = False  # the first time was no Ctrl-C
    told: bool = False  # the running steps know of it

    @property
    def code(self) -> int:
        """The exit code for the shell."""
        if self.interrupted and (self.failed or self.waiting):
            return EXIT_PREEMPTED if self.preempted else EXIT_INTERRUPTED
        return EXIT_FAILED if self.failed or self.waiting else 0


@dataclass(frozen=True)
class _Running:
    process: subprocess.Popen[bytes]
    start: float
    log: Path


def run_plan(plan: Plan, cluster: ClusterSettings, display: Display) -> Account:
    """Work through all steps that are not done. Raises StoreError if the store cannot be written; faults of steps are in the
    account, not raised."""
    account = Account()
    twins = plan.twins()
    todo: dict[str, Planned] = {}
    for name, item in plan.steps.items():
        if item.folder:
            account.done[name] = item.folder
            display.reused(name, item.folder)
        elif twins[name] == name:
            todo[name] = item
    heights = _heights(plan)
    running: dict[str, _Running] = {}
    with _signals(account):
        try:
            while todo or running:
                _reap(plan, running, account, twins, display)
                ready = [n for n in todo if all(s in account.done for s in _sources(plan, n))]
                ready.sort(key=lambda n: -heights[n])  # stable: what most waits for goes first
                for name in ready[: cluster.max_parallel - len(running)] if not account.interrupted else ():
                    running[name] = _start(plan, todo.pop(name), account, cluster)
                    account.logs[name] = running[name].log
                    display.started(name, running[name].log)
                _pass_on(account, running, display)
                display.tick({name: (item.start, item.log) for name, item in running.items()})
                if not running and (account.interrupted or not ready):
                    break  # what is left waits for something that failed
                time.sleep(_POLL_SECONDS)
        finally:
            for left in running.values():
                _kill(left.process)
    account.waiting = [name for name in plan.steps if name not in account.done and name not in account.failed]
    return account


def _sources(plan: Plan, name: str) -> list[str]:
    return [source for source in plan.steps[name].step.inputs.values() if isinstance(source, str)]


def _heights(plan: Plan) -> dict[str, int]:
    """Step -> how many steps, one after the other, wait for it."""
    heights = dict.fromkeys(plan.steps, 0)
    for name in reversed(plan.steps):
        for source in _sources(plan, name):
            heights[source] = max(heights[source], heights[name] + 1)
    return heights


def _start(plan: Plan, item: Planned, account: Account, cluster: ClusterSettings) -> _Running:
    assert item.digest is not None  # a plan with faults is not run
    sources = item.step.inputs
    spec = Spec(
        name=item.step.id,
        target=item.step.target,
        config=item.step.config,
        inputs={name: account.done[s] if isinstance(s, str) else s for name, s in sources.items()},
        hashes={name: digest for name, digest in item.hashes.items() if digest is not None},
        store=plan.store.root,
        digest=item.digest,
    )
    path = plan.store.root / ".steps" / f"{item.stage.name}-{item.digest[:8]}.json"
    log = plan.store.log(item.stage.name, item.step.id, item.digest)
    threads = cluster.threads or max(1, len(os.sched_getaffinity(0)) // cluster.max_parallel)
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ, PARENT: str(os.getpid()), "PYTHONUNBUFFERED": "1"}
    try:
        spec.write(path)
        with log.open("ab") as handle:
            handle.write(f"---- {item.step.id}, begun {now()}\n".encode())
            handle.flush()
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "gra.chain.step", str(path)],  # -P: no shadowing of `train` by ./train
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # the terminal's Ctrl-C comes here alone, and is passed on in order
            )
    except OSError as error:
        message = f"{error.filename or path}: {error.strerror}"
        raise StoreError(f"{message}\n    -> the run store must be a folder that can be written: store=DIR") from error
    return _Running(process, time.monotonic(), log)


def _reap(plan: Plan, running: dict[str, _Running], account: Account, twins: dict[str, str], display: Display) -> None:
    """Take in the steps that have ended."""
    for name, item in list(running.items()):
        if os.waitid(os.P_PID, item.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            continue
        _kill(item.process)  # what it may have left behind of its own; not yet waited for, so the group's id is still its own
        code = item.process.returncode
        del running[name]
        planned = plan.steps[name]
        folder = plan.store.find(planned.stage.name, planned.digest or "") if code == 0 else None
        if folder is None:
            if code in _PREEMPTED and not account.interrupted:  # the signal went to the step, or to every process of the job
                display.line(f"{name}: stopped by a signal; the others are asked to come to rest, too")
                account.interrupted, account.preempted = 1, True
            if not account.interrupted:
                display.failed(name, code, item.log)
                account.failed[name] = code
            continue
        display.done(name, time.monotonic() - item.start, folder)
        account.done[name] = folder
        for twin in (other for other, first in twins.items() if first == name and other != name):
            account.done[twin] = folder
            display.same(twin, name)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _pass_on(account: Account, running: dict[str, _Running], display: Display) -> None:
    """Pass an interruption on to the steps, once each time."""
    if account.interrupted >= 2:
        for item in running.values():
            with suppress(ProcessLookupError):
                os.killpg(item.process.pid, signal.SIGKILL)
    elif account.interrupted == 1 and running and not account.told:
        display.line(f"stopping: {', '.join(running)} asked to come to rest (Ctrl-C again kills; nothing is lost either way)")
        for item in running.values():
            with suppress(ProcessLookupError):
                item.process.send_signal(signal.SIGTERM if account.preempted else signal.SIGINT)
        account.told = True


@contextmanager
def _signals(account: Account) -> Iterator[None]:
    """Count Ctrl-C, SIGTERM and SIGUSR1 in the account while the steps run. Once SIGUSR1 came, SIGTERM follows in the order of
    things (batch systems end a job so): it is no impatience."""
    first: list[int] = []

    def count(number: int, _frame: object) -> None:
        if not (number == signal.SIGTERM and first and first[0] == signal.SIGUSR1):
            account.interrupted += 1
        account.preempted = account.preempted or (not first and number in PREEMPTING)
        first.append(number)

    before = {number: signal.signal(number, count) for number in (signal.SIGINT, *PREEMPTING)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
