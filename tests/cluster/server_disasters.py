"""What befalls the server jobs of a small synthesis on a real Slurm, while the servers count their calls:

    python tests/cluster/server_disasters.py              # all of them, one after the other, on a throw-away Slurm; 6 minutes
    python tests/cluster/server_disasters.py kill cancel  # these

Five servers (simulated models, one task each) and three shards with two calls in flight each. A row tells how many submissions were
needed, the calls that were paid and those paid twice, the most that can have been in flight, whether the data are those of one
run on one machine with servers of its own, and what is left when the queue is empty.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "chain")]

from conftest import TINY, working_folder  # noqa: E402
from on_slurm import data, distinct, empty, logs, said, status, submit, until  # noqa: E402
from places import Place  # noqa: E402
from slurm_cluster import started  # noqa: E402

SERVER = HERE / "counted_server.py"
SERVERS, ROUND = "gra/data servers", "gra/data round-1"
STAGE = "cluster.stages.synthesis"
SHARDS = 3
IN_FLIGHT = SHARDS * 2  # shards x runtime.concurrency of the experiment


def served(place: Place, latency: float = 0.05, command: str | None = None) -> tuple[str, ...]:
    """The words of a synthesis whose pool starts servers, and of nothing after it."""
    steps = TINY.partition("        model:\n")[0].replace("base_url: URL, ", "")
    steps = "\n".join(line for line in steps.splitlines() if "student_stage" not in line) + "\n"
    (place.folder / "conf" / "experiment" / "served.yaml").write_text(steps)
    usual = (
        f"{{python}} {SERVER} --folder {place.folder / 'paid'} --models {{model}} --port {{port}} --latency {latency}"
    )
    serve = f"command: '{command or usual}', stop_timeout_s: 2, start_timeout_s: 60, restarts: 0"
    return ("experiment=served", "pool.base_url=null", f"pool.serve={{{serve}}}")


def apart(*more: str, shards: int = SHARDS) -> tuple[str, ...]:
    """The words that make the servers jobs of their own."""
    keys = ", ".join(("gpus: 0", "wait_s: 300", *more))
    return (f"{STAGE}.shards={shards}", f"{STAGE}.servers={{{keys}}}")


def paid(place: Place) -> int:
    """The calls that arrived at servers."""
    path = place.folder / "paid" / "calls"
    return len(path.read_text().split()) if path.exists() else 0


def starts(place: Place) -> list[str]:
    """The model of each start of a server."""
    path = place.folder / "paid" / "models"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def addresses(place: Place) -> dict[int, dict[str, object]]:
    """What the server tasks published last, by task."""
    return {int(path.stem): json.loads(path.read_text()) for path in place.store.glob(".servers/*/*.json")}


def processes(place: Place, *words: str) -> list[int]:
    """The processes of servers of this folder, with all of these words among theirs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            its = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has ended
        if any(str(place.folder) in word for word in its) and set(words) <= set(its):
            found.append(int(path.parent.name))
    return found


def alone(folder: Path, environment: dict[str, str]) -> dict[str, str]:
    """The data of the same synthesis in one run with servers of its own."""
    folder.mkdir()
    place = working_folder(folder, environment)
    done = place.gra("run", *served(place, latency=0.0))
    assert done.returncode == 0, done.stdout + done.stderr
    return data(place.store)


def nothing(_place: Place, _array: str) -> None:
    """An undisturbed run."""


def requeue(place: Place, array: str) -> None:
    """An operator queues a server task again."""
    said(place, "scontrol", "requeue", f"{array}_0")


def kill(place: Place, _array: str) -> None:
    """The kernel, say, kills the server of a task; without restarts left, the task fails and is queued again."""
    for pid in processes(place, str(SERVER), "slm-a"):
        os.kill(pid, signal.SIGKILL)


def kill_task(place: Place, _array: str) -> None:
    """The process that looks after a server is killed: nothing says that its address is gone."""
    for pid in processes(place, "gra.cluster.serving", "--task=0"):
        os.kill(pid, signal.SIGKILL)


def preempt(place: Place, _array: str) -> None:
    """A job of a higher partition takes both nodes from the servers; the shards have ended by then, or wait."""
    said(place, "sbatch", "-p", "main", "--exclusive", "-N2", "-o", "/dev/null", "--wrap", "sleep 1")


def cancel(place: Place, array: str) -> None:
    """Somebody cancels a server task; the second submission brings back that task alone."""
    said(place, "scancel", f"{array}_0")
    until(
        lambda: place.gra("submit", *served(place), *apart(), "cluster=slurm", *SIZE).stdout.count(": job ") == 1, place
    )


SIZE = ("cluster.resources.mem=2000", "cluster.resources.cpus=1")
LOW = "cluster.resources.partition=low"
DISASTERS: dict[
    str, tuple[Callable[[Place, str], None], int, tuple[str, ...]]
] = {  # with the starts of slm-a, and words
    "nothing": (nothing, 1, ()),
    "requeue": (requeue, 2, ()),
    "kill": (kill, 2, ()),
    "kill_task": (kill_task, 2, ()),
    "preempt": (preempt, 2, (LOW,)),
    "cancel": (cancel, 2, ()),
}


def strike(place: Place, name: str) -> None:
    """Submit, let the shards make calls of the round, let the disaster happen, and wait until the queue is empty."""
    what, count, more = DISASTERS[name]
    submit(place, *served(place), *apart(), *more)
    until(lambda: status(place)[ROUND].attempt > 0, place)
    before = paid(place)
    until(lambda: paid(place) >= before + 40, place)
    what(place, status(place)[SERVERS].jobs[0])
    until(lambda: starts(place).count("slm-a") >= count, place)
    until(lambda: empty(place), place)
    assert {line.state for line in status(place).values()} == {"done"}, logs(place)


def main(names: list[str]) -> int:
    """Let the disasters happen and print a row for each."""
    with ExitStack() as stack:
        top, own = (Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gra-", dir="/tmp"))) for _ in range(2))
        slurm = dict(os.environ) if "SLURM_CONF" in os.environ else stack.enter_context(started(own))
        environment = {**slurm, "PATH": f"{Path(sys.executable).parent}:{slurm['PATH']}"}
        wanted = alone(top / "alone", environment)
        print(
            "| what | calls paid | paid twice | in flight | starts of servers | data | left behind | seconds |",
            flush=True,
        )
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for name in names or list(DISASTERS):
            (top / name).mkdir()
            place, begun = working_folder(top / name, environment), time.monotonic()
            strike(place, name)
            same = "same" if data(place.store) == wanted else "OTHER"
            left = len(processes(place))
            row = (name, paid(place), paid(place) - distinct(place.store), IN_FLIGHT, len(starts(place)), same, left)
            print(f"| {' | '.join(map(str, row))} | {time.monotonic() - begun:.0f} |", flush=True)
            shutil.rmtree(top / name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
