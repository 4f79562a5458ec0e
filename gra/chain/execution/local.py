"""Runs the steps of a plan on this machine, each step in a process of its own. Steps whose inputs are finished run in
parallel.

A crash of one step (out of memory, a library fault) does not affect the other steps or this process. After Ctrl-C, no
further step starts, and the running steps are asked to stop; a second Ctrl-C kills them. Batch systems send SIGTERM or
SIGUSR1 before a job ends. These signals have the same effect as Ctrl-C, whether this process or a step gets them, but
the exit code is 85 instead of 130 (gra.errors.Preempted). However a run ends, the same command resumes it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from gra.chain.execution.cluster_settings import ClusterSettings
from gra.chain.execution.display import Display
from gra.chain.execution.plan import Plan, Planned
from gra.chain.step import PARENT, Source, Spec
from gra.chain.store.manifest import now
from gra.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_NOTHING_KEPT, EXIT_PREEMPTED, StoreError
from gra.signals import PREEMPTING

_POLL_SECONDS = 0.2
_PREEMPTED = {
    EXIT_PREEMPTED,
    *(-number for number in PREEMPTING),
}  # negative: the signal came before the step had installed its handler


@dataclass
class RunSummary:
    """The outcome of a run.

    `done`: finished step -> its folder.
    `failed`: failed step -> its exit code.
    `empty`: step that kept no sample -> its log. Only steps whose arm allows this (`may_keep_nothing`) are listed here.
        The run does not fail because of them, or because of the steps that need their output.
    `waiting`: the other steps that were not run.
    """

    done: dict[str, Path] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    empty: dict[str, Path] = field(default_factory=dict)
    logs: dict[str, Path] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    interrupted: int = 0  # number of signals
    preempted: bool = False  # the first signal was not Ctrl-C
    notified: bool = False  # the running steps were asked to stop

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


def run_plan(plan: Plan, cluster: ClusterSettings, display: Display) -> RunSummary:
    """Run all unfinished steps and return the outcome. If a step fails, no error is raised, but the outcome says so.

    Raises StoreError if the store cannot be written.
    """
    account = RunSummary()
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
                # the start of the longest chain of waiting steps comes first; the sort is stable
                ready.sort(key=lambda n: -heights[n])
                for name in ready[: cluster.max_parallel - len(running)] if not account.interrupted else ():
                    running[name] = _start(plan, todo.pop(name), cluster)
                    account.logs[name] = running[name].log
                    display.started(name, running[name].log)
                _pass_on(account, running, display)
                display.tick({name: (item.start, item.log) for name, item in running.items()})
                if not running and (account.interrupted or not ready):
                    break  # the remaining steps need a failed one
                time.sleep(_POLL_SECONDS)
        finally:
            for left in running.values():
                _kill(left.process)
    without = _needing(plan, account.empty)
    ended = {*account.done, *account.failed, *without}
    account.waiting = [name for name in plan.steps if name not in ended]
    return account


def _needing(plan: Plan, steps: Iterable[str]) -> set[str]:
    """Return `steps` and all steps that need one of them."""
    found = set(steps)
    for name in plan.steps:  # each step comes after its inputs
        if found.intersection(_sources(plan, name)):
            found.add(name)
    return found


def _sources(plan: Plan, name: str) -> list[str]:
    return [source for source in plan.steps[name].step.inputs.values() if isinstance(source, str)]


def _heights(plan: Plan) -> dict[str, int]:
    """Return, for each step, the length of the longest chain of steps that wait for it."""
    heights = dict.fromkeys(plan.steps, 0)
    for name in reversed(plan.steps):
        for source in _sources(plan, name):
            heights[source] = max(heights[source], heights[name] + 1)
    return heights


def spec_of(plan: Plan, item: Planned) -> Spec:
    """Return the spec for the process of a step. The step's inputs need not be finished yet."""
    assert item.digest is not None  # it is None only in a plan with faults, which is not run

    def source(of: str | Path) -> Path | Source:
        if isinstance(of, Path):
            return of
        made = plan.steps[of]
        assert made.digest is not None
        return Source(of, made.stage.name, made.digest)

    return Spec(
        name=item.step.id,
        target=item.step.target,
        config=item.step.config,
        inputs={name: source(of) for name, of in item.step.inputs.items()},
        hashes={name: digest for name, digest in item.hashes.items() if digest is not None},
        store=plan.store.root,
        digest=item.digest,
        experiment=plan.experiment.name,
    )


def _start(plan: Plan, item: Planned, cluster: ClusterSettings) -> _Running:
    assert item.digest is not None
    spec = spec_of(plan, item)
    path = plan.store.root / ".steps" / f"{item.stage.name}-{item.digest[:8]}.json"
    log = plan.store.log(item.stage.name, item.step.id, item.digest)
    threads = cluster.threads or max(1, len(os.sched_getaffinity(0)) // cluster.max_parallel)
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ, PARENT: str(os.getpid()), "PYTHONUNBUFFERED": "1"}
    try:
        spec.write(path)
        with log.open("ab") as handle:
            handle.write(f"---- {item.step.id}, started {now()}\n".encode())
            handle.flush()
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "gra.chain.step",
                    str(path),
                ],  # -P: nothing in this folder shadows a module
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # so Ctrl-C reaches only this process, which passes it on
            )
    except OSError as error:
        message = f"{error.filename or path}: {error.strerror}"
        raise StoreError(f"{message}\n    -> the run store must be a writable folder: store=DIR") from error
    return _Running(process, time.monotonic(), log)


def _reap(
    plan: Plan, running: dict[str, _Running], account: RunSummary, twins: dict[str, str], display: Display
) -> None:
    """Record the steps that have ended."""
    for name, item in list(running.items()):
        if os.waitid(os.P_PID, item.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            continue
        _kill(item.process)  # kills its child processes; the step is not reaped yet, so its group id is still valid
        code = item.process.returncode
        del running[name]
        planned = plan.steps[name]
        folder = plan.store.find(planned.stage.name, planned.digest or "") if code == 0 else None
        if folder is None:
            if (
                code in _PREEMPTED and not account.interrupted
            ):  # the signal was sent to the step, or to every process of the job
                display.line(f"{name}: stopped by a signal; stopping the other steps")
                account.interrupted, account.preempted = 1, True
            if account.interrupted:
                continue
            same = [other for other, first in twins.items() if first == name] if code == EXIT_NOTHING_KEPT else []
            empty = [other for other in same if plan.may_keep_nothing(other)]
            account.empty.update(dict.fromkeys(empty, item.log))
            for other in empty:
                display.empty(other, item.log)
            if name not in empty:
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


def _pass_on(account: RunSummary, running: dict[str, _Running], display: Display) -> None:
    """Pass an interruption on to the steps: at first a signal to stop, at the second interruption SIGKILL."""
    if account.interrupted >= 2:
        for item in running.values():
            with suppress(ProcessLookupError):
                os.killpg(item.process.pid, signal.SIGKILL)
    elif account.interrupted == 1 and running and not account.notified:
        display.line(
            f"stopping {', '.join(running)}: they can be resumed (Ctrl-C again kills them; nothing is lost either way)"
        )
        for item in running.values():
            with suppress(ProcessLookupError):
                item.process.send_signal(signal.SIGTERM if account.preempted else signal.SIGINT)
        account.notified = True


@contextmanager
def _signals(account: RunSummary) -> Iterator[None]:
    """Count Ctrl-C, SIGTERM and SIGUSR1 while the steps run. A SIGTERM after SIGUSR1 is not counted, because batch systems send
    both."""
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
