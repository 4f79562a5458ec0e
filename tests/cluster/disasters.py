"""What befalls jobs, done to the shards of a small synthesis on a real Slurm while a server counts its calls:

    python tests/cluster/disasters.py                     # all of them, one after the other, on a throw-away Slurm; about 8 minutes
    python tests/cluster/disasters.py kill node time      # these

With SLURM_CONF set, on that cluster: it needs the partitions `main` (default) and `low`, which `main` preempts, and no other jobs.
A row tells whether one `gra submit` was enough or a second was needed, the calls of an undisturbed run on one machine, those of the
jobs (shards prepare some spare proposals), those asked twice, and how many were in flight.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "chain")]

from conftest import working_folder  # noqa: E402
from counting_server import Counting, counting  # noqa: E402
from on_slurm import data, distinct, empty, logs, said, status, submit, until  # noqa: E402
from places import Place  # noqa: E402
from slurm_cluster import started  # noqa: E402

from gra.cluster.records import newest, read_all  # noqa: E402

ROUND = "gra/data round-1"
SHARDS = ("cluster.stages.synthesis.shards=3", "cluster.resources.partition=low")
IN_FLIGHT = 3 * 2  # shards x runtime.concurrency of the experiment `tiny`


def requeue(place: Place, array: str) -> None:
    """An operator queues a task again."""
    said(place, "scontrol", "requeue", f"{array}_0")


def preempt(place: Place, _array: str) -> None:
    """A job of a higher partition takes both nodes."""
    said(place, "sbatch", "-p", "main", "--exclusive", "-N2", "-o", "/dev/null", "--wrap", "sleep 1")


def node(place: Place, array: str) -> None:
    """The node of a task is lost, with whatever runs there."""
    rows = [row.split() for row in said(place, "squeue", "-h", "-r", "-j", array, "-o", "%K %N").splitlines()]
    name = next(row[1] for row in rows if row[0] == "0")
    said(place, "scontrol", "update", f"nodename={name}", "state=down", "reason=test")
    for task in (int(row[0]) for row in rows if row[1:] == [name]):
        for pid in processes(place, task):
            os.kill(pid, signal.SIGKILL)
    subprocess.run(  # refused where the node has come back by itself
        ["scontrol", "update", f"nodename={name}", "state=resume"],
        env=place.environment,
        capture_output=True,
        check=False,
    )


def kill(place: Place, _array: str) -> None:
    """The kernel, say, kills the process of a task."""
    for pid in processes(place, 1):
        os.kill(pid, signal.SIGKILL)


def cancel(place: Place, array: str) -> None:
    """Somebody cancels the array."""
    said(place, "scancel", array)


def limit(place: Place, array: str) -> None:
    """A task comes to its time limit. Slurm looks every 30 s."""
    said(place, "scontrol", "update", f"JobId={array}_0", "EndTime=now+40")


DISASTERS: dict[str, tuple[Callable[[Place, str], None], tuple[str, ...]]] = {  # with the tasks that start again
    "requeue": (requeue, ("0",)),
    "kill": (kill, ("1",)),
    "node": (node, ("0",)),
    "preempt": (preempt, ("0", "1", "2")),
    "time": (limit, ("0",)),
    "cancel": (cancel, ()),
}


def processes(place: Place, task: int) -> list[int]:
    """The Python processes of one task of the array."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has ended
        if (
            "gra.cluster.task" in words
            and f"--task={task}" in words
            and any(str(place.store) in word for word in words)
        ):
            found.append(int(folder.name))
    return found


def strike(place: Place, server: Counting, *names: str) -> None:
    """Wait until all shards have calls in flight and hold these; let disasters happen; answer them, and a few of those that follow,
    until the tasks that were struck have started again."""
    until(lambda: server.waiting or status(place)[ROUND].attempt > 0, place)
    server.held_at = server.arrived + 6
    until(lambda: server.waiting >= IN_FLIGHT, place)
    shards = next(job for job in newest(read_all(place.store)).values() if job.name == ROUND)
    struck = {task: shards.attempts(task) for name in names for task in DISASTERS[name][1]}
    for name in names:
        DISASTERS[name][0](place, list(shards.ids)[-1])
    while True:
        time.sleep(0.5)
        server.held_at = server.arrived
        if all(shards.attempts(task) > before for task, before in struck.items()):
            return
        time.sleep(2.5)  # a slow server: a task that is to be stopped later has calls in flight then


def main(names: list[str]) -> int:
    """Run the disasters and print a row for each."""
    with ExitStack() as stack:
        place_of, own = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gra-", dir="/tmp"))) for _ in range(2)
        )
        slurm = dict(os.environ) if "SLURM_CONF" in os.environ else stack.enter_context(started(own))
        server = stack.enter_context(counting(latency=0.05))
        environment = {**slurm, "PATH": f"{Path(sys.executable).parent}:{slurm['PATH']}"}
        (place_of / "alone").mkdir()
        alone = working_folder(place_of / "alone", environment)
        words = ("experiment=tiny", f"pool.base_url={server.url}")
        done = alone.gra("run", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        wanted, one = data(alone.store), server.taken()
        print(
            "| what | submits | calls of one run | of the jobs | asked twice | in flight | data | seconds |", flush=True
        )
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for name in names or list(DISASTERS):
            folder = place_of / name
            folder.mkdir()
            place, start, submits = working_folder(folder, environment), time.monotonic(), 1
            submit(place, *words, *SHARDS)
            strike(place, server, name)
            server.held_at = None
            until(lambda at=place: empty(at), place)
            if {line.state for line in status(place).values()} != {"done"}:
                submits += 1
                submit(place, *words, *SHARDS)
                until(lambda at=place: empty(at), place)
            found = {line.state for line in status(place).values()}
            assert found == {"done"}, f"{found}\n{logs(place)}"
            asked = server.taken()
            same = "same" if data(place.store) == wanted else "OTHER"
            row = (
                name,
                submits,
                one,
                asked,
                asked - distinct(place.store),
                IN_FLIGHT,
                same,
                f"{time.monotonic() - start:.0f}",
            )
            print(f"| {' | '.join(map(str, row))} |", flush=True)
            shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
