"""Runs one of several training processes, or the torchrun agent that starts them.

train/launch.py starts this module with the command
`python -m gra.train.worker agent TORCHRUN_ARGUMENTS --module gra.train.worker SPEC.json`.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from pathlib import Path

from gra.errors import EXIT_FAILED, EXIT_INTERRUPTED, GraError
from gra.fileio import read_json, write_json, write_text
from gra.train.launch import CRASH, ENDS, LAUNCHER, PASSED_ON, PIDS, RESUMES

# The kernel kills a process with SIGKILL when main memory, or the job's share of it, runs out; the process cannot report it.
OUT_OF_MEMORY = (
    " (the system does this when main memory runs out: set a smaller runtime.per_device_batch, "
    "runtime.activation_checkpointing=true, or a smaller sft.cutoff_length)"
)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def agent(arguments: list[str]) -> int:
    """Run torchrun, which starts the training processes. Return EXIT_FAILED if one of them failed, else 0.

    If one process fails, torchrun ends all of them. The current process ignores the signals that a batch system sends
    (PASSED_ON), because the process that launched it (train/launch.py) handles them.
    """
    _die_with_parent()
    for (
        number
    ) in PASSED_ON:  # a batch system sends them to every process; torchrun would kill the workers after 30 seconds
        signal.signal(number, lambda *_: None)
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = "SIGHUP"
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        run.main(["--signals-to-handle", "SIGHUP", *arguments])
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        spec = Path(arguments[-1])
        if not _end(spec, rank).exists():
            code = failure.exitcode
            write_text(spec.with_name(CRASH), f"training process {rank} {how(code)}, without an error message")
        return EXIT_FAILED
    return 0


def how(code: int) -> str:
    """Return a text that says how a process ended, such as "was killed by SIGKILL" or "ended with exit code 1".

    `code`: the exit code that torchrun reports. If a signal killed the process, the code is minus the signal's number,
    or 128 plus that number if a shell started the process.
    """
    text = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return text + (OUT_OF_MEMORY if code in (-signal.SIGKILL, 128 + signal.SIGKILL) else "")


def work(spec: Path) -> int:
    """Run the training stage in this process and return the exit code.

    `spec`: a JSON file with the stage's config, inputs and output.

    The environment variable RANK holds the rank of this process. If the stage fails, the error is written to a file
    for the process that launched torchrun, because torchrun does not pass on the exit code of a training process.
    """
    _die_with_parent()
    rank = int(os.environ["RANK"])
    write_text(spec.with_name(f"{PIDS}{rank}"), str(os.getpid()))
    quiet_unless_first()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S"
    )
    given = read_json(spec)
    from gra.train import stage

    try:
        stage.run(given["config"], {name: Path(path) for name, path in given["inputs"].items()}, Path(given["output"]))
        return 0
    except GraError as error:
        code, message = error.code, str(error)
    except KeyboardInterrupt:
        code, message = EXIT_INTERRUPTED, f"interrupted; {RESUMES}"
    write_json(_end(spec, rank), {"rank": rank, "code": code, "message": message})
    return code


def _end(spec: Path, rank: int) -> Path:
    return spec.with_name(f"{ENDS}{rank:05}.json")


def quiet_unless_first() -> None:
    """If this process is not the first (rank 0), log only its warnings and discard the text that it prints.

    Each of these warnings begins with the time and the rank of the process.
    """
    rank = int(os.environ.get("RANK") or 0)
    if rank:
        form = f"%(asctime)s [{rank}] %(levelname)s %(name)s: %(message)s"
        logging.basicConfig(level=logging.WARNING, format=form, datefmt="%H:%M:%S")
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for the life of the process; only the first prints results


def _die_with_parent() -> None:
    """Make the kernel kill this process when its parent is gone (Linux only).

    Otherwise a worker could outlive torchrun and write into a folder that a new run has taken over.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    launcher = int(os.environ[LAUNCHER])
    try:
        os.kill(launcher, 0)
        gone = os.getppid() != parent
    except ProcessLookupError:
        gone = True
    if gone:  # the parent ended before prctl
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(agent(sys.argv[2:]) if sys.argv[1] == "agent" else work(Path(sys.argv[1])))
