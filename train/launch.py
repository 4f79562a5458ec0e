"""One training run as several processes: `python -m train launch=torchrun nproc=8 data=DIR ... output=DIR`.

The process that the user, or a step of the chain, started keeps what is its own (the lock, the working folder, the data's
tokens, publishing) and starts torchrun, whose workers (train/worker.py) run the stage in the same folder. Signals go from here
straight to the workers, which finish their step and write a checkpoint: torchrun would kill them after 30 seconds. The
processes die with this one, however it ends.

Several nodes: one such process each, started by `srun --ntasks-per-node=1 python -m train launch=torchrun ...`; nodes and
meeting place are read from Slurm's environment (MASTER_ADDR and MASTER_PORT go before it). All nodes must see the output
folder; the first node's process owns it. `torchrun ... -m train` works as well; the exit code is then torchrun's (1) where it
would be 85 or 130.
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

from gra.errors import EXIT_INTERRUPTED, EXIT_PREEMPTED, ConfigError, GraError, Interrupted, Preempted, Problem, TrainError
from gra.fileio import read_json, write_json
from train import preempt, tokens
from train.batches import world_size
from train.hardware import Machine, here
from train.settings import RuntimeSettings, TrainSettings

log = logging.getLogger(__name__)
SPEC, PIDS, ENDS, CRASH = "spec.json", "pid-", "end-", "crash"  # in the folder that launcher and workers of a node share
LAUNCHER = "GRA_LAUNCHER_PID"
PASSED_ON = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
STOPPED = (EXIT_PREEMPTED, EXIT_INTERRUPTED)
GOES_ON = "the same command goes on from the newest checkpoint"
_POLL_SECONDS = 0.1
_PORTS = 10_000, 20_000  # first port and how many: below those that systems hand out by themselves


@dataclass(frozen=True)
class Nodes:
    """Where a run's processes are: number of nodes, this one's number, and the first one's address and port (None: alone)."""

    count: int = 1
    rank: int = 0
    address: str | None = None
    port: int | None = None


def nodes(environment: Mapping[str, str]) -> Nodes:
    """The nodes of the Slurm job step that started this process; a process that srun did not start is alone.

    SLURM_STEP_NUM_NODES is set by srun alone, not in a batch script (srun's manual, "Output environment variables").
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
    """The first host in Slurm's short form of a list: `n[01-04,7],m2` -> `n01`."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])*", hosts)
    return re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", first.group() if first else hosts)


def launched() -> bool:
    """Whether torchrun (or the like) started this process: it is one of a group, and starts none."""
    return "RANK" in os.environ


def wanted(runtime: RuntimeSettings) -> bool:
    """Whether this process is to start others that train."""
    return runtime.launch == "torchrun" and not launched()


def nproc(runtime: RuntimeSettings, machine: Machine) -> int:
    """Processes on this node under launch=torchrun."""
    return runtime.nproc or len(machine.gpus) or 1


def processes(runtime: RuntimeSettings | None, machine: Machine) -> int:
    """How many processes train together, over all nodes: as torchrun says, or as it will be told."""
    if runtime is None or not wanted(runtime):
        return world_size()
    return nproc(runtime, machine) * nodes(os.environ).count


def follower(config: Mapping[str, Any]) -> bool:
    """Whether this process starts workers on another node than the first, whose process owns the output folder."""
    runtime = config.get("runtime") or {}
    return runtime.get("launch") == "torchrun" and not launched() and nodes(os.environ).rank > 0


def problems(runtime: RuntimeSettings, machine: Machine) -> list[Problem]:
    """What speaks against starting the processes."""
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
        found.append(Problem("runtime.nproc", "not set, and there is no GPU to count", "set nproc=N: processes on this node"))
    elif runtime.nproc is not None and 0 < gpus < runtime.nproc:
        message = f"{runtime.nproc} processes, but {gpus} GPU(s) can be seen here: each process needs one of its own"
        found.append(Problem("runtime.nproc", message, f"set nproc={gpus}, or ask for more (CUDA_VISIBLE_DEVICES, --gres)"))
    tasks = os.environ.get("SLURM_STEP_TASKS_PER_NODE", "1")
    if "SLURM_STEP_NUM_NODES" in os.environ and re.sub(r"\(x\d+\)", "", tasks) != "1":
        message = f"srun started {tasks} tasks a node, but under launch=torchrun one process starts all others of its node"
        found.append(Problem("runtime.launch", message, "use srun --ntasks-per-node=1, and nproc=N for the processes"))
    return found


def train(settings: TrainSettings, config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """As `train.sft.train`, by several processes; `config` is what `settings` were read from. The data's tokens are made first.

    Raises Preempted and Interrupted after SIGTERM, SIGUSR1 and Ctrl-C, ConfigError and TrainError with the words of the first
    process that failed. Returns no metrics on other nodes than the first.
    """
    from train import sft

    if (done := sft.finished(output)) is not None:
        return done
    runtime = settings.runtime
    if nodes(os.environ).rank == 0:
        _prepare(settings, inputs, output)
    _run(config, inputs, output, nproc(runtime, here()), runtime.threads)
    return sft.finished(output) or {}


@preempt.stoppable
def _prepare(settings: TrainSettings, inputs: dict[str, Path], output: Path) -> None:
    tokens.ensure(settings, inputs, output)


def _run(config: dict[str, Any], inputs: Mapping[str, Path], output: Path, local: int, threads: int | None) -> None:
    """Have `local` processes on this node run the stage into `output`; `threads`: of each on a CPU, None: its share of cores."""
    where = nodes(os.environ)
    _reachable(where)
    with tempfile.TemporaryDirectory(prefix="gra-train-") as name:
        folder = Path(name)
        write_json(folder / SPEC, {"config": config, "inputs": {k: str(v) for k, v in inputs.items()}, "output": str(output)})
        command = [sys.executable, *(["-P"] if sys.flags.safe_path else []), "-m", "train.worker", "agent"]
        command += [*_arguments(where, local), "--module", "train.worker", str(folder / SPEC)]
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
        account(folder, code, relay.heard)


def _reachable(where: Nodes) -> None:
    """Raise TrainError where the first node's name means nothing here: torchrun would wait for it for a quarter of an hour."""
    if where.address is None:
        return
    try:
        socket.getaddrinfo(where.address, where.port)
    except OSError as error:
        remedy = "set MASTER_ADDR to an address of the first node that every node can reach"
        raise TrainError(f"the first node, {where.address}, cannot be found from here ({error})\n    -> {remedy}") from error


def _arguments(where: Nodes, local: int) -> list[str]:
    """torchrun's own."""
    if where.count == 1:  # it chooses a free port by itself
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
    }


@dataclass
class _Relay:
    """Signals on their way to the workers. One that comes before there are any ends the start: nothing is lost by it."""

    folder: Path
    heard: list[int] = field(default_factory=list)
    told: dict[str, int] = field(default_factory=dict)  # a worker's file -> signals that it was sent

    @contextmanager
    def listening(self) -> Iterator[_Relay]:
        """Take the place of this process's own handlers. (Python lets the main thread alone set them.)"""
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
        """Send what was heard to the workers that have not had it; a third signal ends them all at once."""
        if not self.heard:
            return
        workers = sorted(self.folder.glob(f"{PIDS}*"))
        if not workers or len(self.heard) > 2:
            agent.kill()
        for path in workers:
            sent = self.told.get(path.name, 0)
            self.told[path.name] = len(self.heard)
            for number in self.heard[sent:]:
                with suppress(ProcessLookupError, ValueError):  # gone; or the file is being written
                    os.kill(int(path.read_text(encoding="ascii")), number)


def account(folder: Path, code: int, heard: list[int]) -> None:
    """Raise what the ends of the processes amount to; `code`: torchrun's exit code, `heard`: the signals that came here.

    A fault of the run goes before a signal, since the processes that did not fail are then ended by SIGTERM; a signal goes
    before the death of a process that said nothing, since it may have been too early in its life to hear it.
    """
    if not code:
        return
    ends = [read_json(path) for path in sorted(folder.glob(f"{ENDS}*"))]
    asked = [end for end in ends if end["code"] in STOPPED]
    faults = [end for end in ends if end not in asked]
    if faults:
        raise _error(faults[0]["code"], faults[0]["message"])
    if heard:
        stopped = EXIT_INTERRUPTED if heard[0] == signal.SIGINT else EXIT_PREEMPTED
        raise _error(stopped, asked[0]["message"] if asked else f"stopped by {signal.Signals(heard[0]).name}; {GOES_ON}")
    if (folder / CRASH).exists():
        raise TrainError(f"{(folder / CRASH).read_text(encoding='utf-8')}\n    -> see its words above; {GOES_ON}")
    if asked:  # the signal went to the training processes alone
        raise _error(asked[0]["code"], asked[0]["message"])
    raise TrainError(f"torchrun ended with exit code {code}\n    -> see its words above; {GOES_ON}")


def _error(code: int, message: str) -> GraError:
    kinds: dict[int, type[GraError]] = {EXIT_PREEMPTED: Preempted, EXIT_INTERRUPTED: Interrupted}
    if code == ConfigError.code:
        return ConfigError([Problem("(found by a training process)", message, "correct it; nothing was trained")])
    return kinds.get(code, TrainError)(message)
