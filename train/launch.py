"""Runs one training in several processes: `gra train launch=torchrun nproc=8 data=DIR ... output=DIR`.

The process that the user or a step of the chain starts is the launcher. It keeps the lock and the working folder,
tokenises the data and publishes the result. It starts torchrun, which starts the workers (train/worker.py); they run
the stage in the same folder. The launcher sends signals straight to the workers, which finish their step and write a
checkpoint; torchrun would kill them after 30 seconds. When the launcher ends, for any reason, the workers end, too.

On several nodes there is one launcher per node, started by `srun --ntasks-per-node=1 gra train launch=torchrun ...`.
The nodes and the rendezvous address come from Slurm's environment; MASTER_ADDR and MASTER_PORT override it. All nodes
must see the output folder, which belongs to the first node's launcher. `torchrun ... -m train` works too, but exits
with torchrun's code (1) instead of 85 or 130.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gra.errors import (
    EXIT_INTERRUPTED,
    EXIT_PREEMPTED,
    ConfigError,
    GraError,
    Interrupted,
    Preempted,
    Problem,
    TrainError,
)
from gra.fileio import read_json, write_json
from gra.machine import more_gpus, requested_gpus, too_few_gpus
from gra.train import preempt
from gra.train.data import tokenised
from gra.train.distributed.batches import world_size
from gra.train.distributed.hardware import Machine, here
from gra.train.settings import RuntimeSettings, TrainSettings

log = logging.getLogger(__name__)
SPEC, PIDS, ENDS, CRASH = "spec.json", "pid-", "end-", "crash"  # in the folder shared by a node's launcher and workers
LAUNCHER = "GRA_LAUNCHER_PID"
PASSED_ON = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
STOPPED = (EXIT_PREEMPTED, EXIT_INTERRUPTED)
RESUMES = "the same command resumes from the newest checkpoint"
_POLL_SECONDS = 0.1
_PORTS = 10_000, 20_000  # the first port and the number of ports, all below the ephemeral ports


@dataclass(frozen=True)
class Nodes:
    """The nodes of a run.

    `count`: how many nodes there are. `rank`: the index of this node, from 0. `address`, `port`: where the processes of
    all nodes meet at the start (torchrun's rendezvous), on the first node. Both are None if there is only one node.
    """

    count: int = 1
    rank: int = 0
    address: str | None = None
    port: int | None = None


def nodes(environment: Mapping[str, str]) -> Nodes:
    """Return the nodes of the Slurm job step that started this process. Without srun, return a single node.

    `environment`: the environment variables. Only srun sets SLURM_STEP_NUM_NODES, so a batch script does not have it
    (srun's manual, "Output environment variables").
    """
    count = int(environment.get("SLURM_STEP_NUM_NODES") or 1)
    if count == 1:
        return Nodes()
    first, ports = _PORTS
    return Nodes(
        count=count,
        rank=int(environment["SLURM_NODEID"]),
        address=environment.get("MASTER_ADDR") or first_host(environment["SLURM_STEP_NODELIST"]),
        port=int(environment.get("MASTER_PORT") or first + int(environment["SLURM_JOB_ID"]) % ports),
    )


def first_host(hosts: str) -> str:
    """Return the first host of a list in Slurm's short form: `n[01-04,7],m2` -> `n01`."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])*", hosts)
    return re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", first.group() if first else hosts)


def launched() -> bool:
    """Return whether torchrun or a similar launcher started this process. Such a process starts no other processes."""
    return "RANK" in os.environ


def wanted(runtime: RuntimeSettings) -> bool:
    """Return whether this process has to start the training processes."""
    return runtime.launch == "torchrun" and not launched()


def nproc(runtime: RuntimeSettings, machine: Machine) -> int:
    """Return how many processes launch=torchrun starts on this node."""
    return runtime.nproc or len(machine.gpus) or 1


def processes(runtime: RuntimeSettings | None, machine: Machine) -> int:
    """Return how many processes train together on all nodes.

    If this process will start torchrun, the number is that of the processes that torchrun will start. Otherwise it is
    WORLD_SIZE from the launcher's environment, or 1 without a launcher.
    """
    if runtime is None or not wanted(runtime):
        return world_size()
    return nproc(runtime, machine) * nodes(os.environ).count


def follower(runtime: RuntimeSettings) -> bool:
    """Return whether this process is the launcher on a node other than the first. The launcher on the first node owns
    the output folder."""
    return wanted(runtime) and nodes(os.environ).rank > 0


def problems(runtime: RuntimeSettings, machine: Machine) -> list[Problem]:
    """Return the faults that prevent the training processes from being started."""
    found = []
    if runtime.launch == "none":
        if runtime.nproc is not None and not launched():
            message = f"{runtime.nproc}, but runtime.launch=none starts no processes"
            found.append(Problem("runtime.nproc", message, "set launch=torchrun, or nproc=null"))
        return found
    if launched():
        return []
    gpus = len(machine.gpus)
    if runtime.nproc is None and not gpus:
        none, more = (
            ("this node has no GPU", "") if requested_gpus() is None else ("the job requests no GPU", more_gpus())
        )
        remedy = "set nproc=N: processes on this node" + (f", or {more}" if more else "")
        found.append(Problem("runtime.nproc", f"not set, and {none}", remedy))
    elif runtime.nproc is not None and 0 < gpus < runtime.nproc:
        message = f"each process needs a GPU of its own: {too_few_gpus(runtime.nproc, gpus)}"
        found.append(Problem("runtime.nproc", message, f"set nproc={gpus}, or {more_gpus()}"))
    tasks = os.environ.get("SLURM_STEP_TASKS_PER_NODE", "1")
    if "SLURM_STEP_NUM_NODES" in os.environ and re.sub(r"\(x\d+\)", "", tasks) != "1":
        message = (
            f"srun started {tasks} tasks per node, but with launch=torchrun one process starts all others on its node"
        )
        found.append(
            Problem("runtime.launch", message, "use srun --ntasks-per-node=1, and nproc=N for the number of processes")
        )
    return found


def train(settings: TrainSettings, config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Tokenise the data, run `gra.train.loop.sft.train` in several processes, and return the metrics.

    `settings` were parsed from `config`. A node that finds no metrics.json in `output` returns {}. After SIGTERM,
    SIGUSR1 or Ctrl-C, Preempted or Interrupted is raised. If a process failed, ConfigError or TrainError is raised with
    the message of the first process that failed.
    """
    from gra.train.loop import sft

    if (done := sft.finished(output)) is not None:
        return done
    runtime = settings.runtime
    if nodes(os.environ).rank == 0:
        _prepare(settings, inputs, output)
    _run(config, inputs, output, nproc(runtime, here()), runtime.threads)
    return sft.finished(output) or {}


@preempt.stoppable
def _prepare(settings: TrainSettings, inputs: dict[str, Path], output: Path) -> None:
    tokenised.ensure(settings, inputs, output)


def _run(config: dict[str, Any], inputs: Mapping[str, Path], output: Path, local: int, threads: int | None) -> None:
    """Run the stage into `output` in `local` processes on this node.

    `threads`: the number per process on a CPU; None: a process's share of the cores.
    """
    where = nodes(os.environ)
    _reachable(where)
    with tempfile.TemporaryDirectory(prefix="gra-train-") as name:
        folder = Path(name)
        write_json(
            folder / SPEC, {"config": config, "inputs": {k: str(v) for k, v in inputs.items()}, "output": str(output)}
        )
        command = [sys.executable, "-P", "-m", "gra.train.worker", "agent"]
        command += [*_arguments(where, local), "--module", "gra.train.worker", str(folder / SPEC)]
        log.info("starting %d process(es)%s", local, f" on each of {where.count} nodes" if where.count > 1 else "")
        with _Relay(folder).listening() as relay:
            agent = subprocess.Popen(command, env=_environment(local, threads), start_new_session=True)
            try:
                while (code := agent.poll()) is None:
                    relay.pass_on(agent)
                    time.sleep(_POLL_SECONDS)
            finally:
                agent.kill()
                agent.wait()
        raise_ending(folder, code, relay.heard)


def _reachable(where: Nodes) -> None:
    """Raise TrainError if the first node's name cannot be resolved. torchrun would wait for that node for a quarter of an hour."""
    if where.address is None:
        return
    try:
        socket.getaddrinfo(where.address, where.port)
    except OSError as error:
        remedy = "set MASTER_ADDR to an address of the first node that every node can reach"
        raise TrainError(
            f"the name of the first node, {where.address}, cannot be resolved ({error})\n    -> {remedy}"
        ) from error


def _arguments(where: Nodes, local: int) -> list[str]:
    """Return torchrun's arguments."""
    if where.count == 1:  # torchrun chooses a free port
        return ["--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", str(local)]
    return [
        *("--nnodes", str(where.count), "--node-rank", str(where.rank), "--nproc-per-node", str(local)),
        *("--master-addr", str(where.address), "--master-port", str(where.port)),
    ]


def _environment(local: int, threads: int | None) -> dict[str, str]:
    cores = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    return {
        **os.environ,
        LAUNCHER: str(os.getpid()),
        "OMP_NUM_THREADS": str(threads or max(1, cores // local)),
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",  # no file of the current folder shadows a module
    }


@dataclass
class _Relay:
    """Forwards signals to the workers. A signal that arrives before the workers exist aborts the start, which loses nothing."""

    folder: Path
    heard: list[int] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)  # a worker's file -> number of signals sent to it

    @contextmanager
    def listening(self) -> Iterator[_Relay]:
        """While the context lasts, add each signal that this process receives to the list `self.heard`. Python can
        handle signals only in the main thread. In other threads the list stays as it is."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, lambda n, _: self.heard.append(n)) for number in PASSED_ON}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def pass_on(self, agent: subprocess.Popen[bytes]) -> None:
        """Send each worker the signals that it has not received yet. The third signal kills torchrun's process `agent`
        and all workers at once. If a signal comes before any worker exists, `agent` is killed too."""
        if not self.heard:
            return
        workers = sorted(self.folder.glob(f"{PIDS}*"))
        if not workers or len(self.heard) > 2:
            agent.kill()
        for path in workers:
            sent = self.sent.get(path.name, 0)
            self.sent[path.name] = len(self.heard)
            for number in self.heard[sent:]:
                with suppress(ProcessLookupError, ValueError):  # gone; or the file is being written
                    os.kill(int(path.read_text(encoding="ascii")), number)


def raise_ending(folder: Path, code: int, heard: list[int]) -> None:
    """Raise the error that explains why the training processes ended. `code`: torchrun's exit code. If it is 0, no
    error is raised. `heard`: the signals that the launcher received.

    If a process failed with a message, its error is raised, even if another process was ended by a signal. torchrun
    itself sends SIGTERM to the other processes when one fails. If a process died without a message and the launcher
    received a signal, the error names the signal. The signal may have come before that process could handle signals.
    """
    if not code:
        return
    ends = [read_json(path) for path in sorted(folder.glob(f"{ENDS}*"))]
    stops = [end for end in ends if end["code"] in STOPPED]
    faults = [end for end in ends if end not in stops]
    if faults:
        raise _error(faults[0]["code"], faults[0]["message"])
    if heard:
        stopped = EXIT_INTERRUPTED if heard[0] == signal.SIGINT else EXIT_PREEMPTED
        raise _error(
            stopped, stops[0]["message"] if stops else f"stopped by {signal.Signals(heard[0]).name}; {RESUMES}"
        )
    if (folder / CRASH).exists():
        raise TrainError(f"{(folder / CRASH).read_text(encoding='utf-8')}\n    -> see its output above; {RESUMES}")
    if stops:  # the signal went only to the training processes
        raise _error(stops[0]["code"], stops[0]["message"])
    raise TrainError(f"torchrun ended with exit code {code}\n    -> see its output above; {RESUMES}")


def _error(code: int, message: str) -> GraError:
    kinds: dict[int, type[GraError]] = {EXIT_PREEMPTED: Preempted, EXIT_INTERRUPTED: Interrupted}
    if code == ConfigError.code:
        return ConfigError([Problem("(found by a training process)", message, "correct it; nothing was trained")])
    return kinds.get(code, TrainError)(message)
