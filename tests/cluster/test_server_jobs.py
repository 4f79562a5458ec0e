"""Servers that are jobs of their own on a real Slurm: found, lost, found again, and gone when nobody calls them. Every call is
counted by the servers."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import TINY, working_folder
from on_slurm import data, distinct, empty, logs, said, status, submit, told, until
from places import Place

pytestmark = [pytest.mark.slow, pytest.mark.slurm]
SERVER = Path(__file__).with_name("counted_server.py")
SERVERS, ROUND = "gra/data servers", "gra/data round-1"
SHARDS = 3
IN_FLIGHT = SHARDS * 2  # shards x runtime.concurrency


def served(place: Place, latency: float = 0.05) -> tuple[str, ...]:
    """The words of a synthesis whose pool starts servers, and nothing after it."""
    steps = TINY.partition("        model:\n")[0].replace("base_url: URL, ", "")
    (place.folder / "conf" / "experiment" / "served.yaml").write_text(steps)
    command = (
        f"{{python}} {SERVER} --folder {place.folder / 'paid'} --models {{model}} --port {{port}} --latency {latency}"
    )
    return ("experiment=served", "pool.base_url=null", f"pool.serve={{command: '{command}', stop_timeout_s: 2}}")


def apart(*more: str) -> tuple[str, ...]:
    keys = ", ".join(("gpus: 0", "wait_s: 120", *more))
    stage = "cluster.stages.synthesis"
    return (f"{stage}.shards={SHARDS}", f"{stage}.servers={{{keys}}}")


def paid(place: Place) -> list[str]:
    path = place.folder / "paid" / "calls"
    return path.read_text().split() if path.exists() else []


def starts(place: Place) -> list[str]:
    path = place.folder / "paid" / "models"
    return path.read_text().splitlines() if path.exists() else []


def queued(place: Place) -> list[str]:
    """The names of the jobs in the queue, each task alone."""
    return sorted(said(place, "squeue", "-h", "-r", "-o", "%j").split())


def alone(place: Place, folder: Path) -> dict[str, str]:
    """The data of the same words on one machine, with servers inside the run."""
    folder.mkdir()
    here = working_folder(folder, place.environment)
    done = here.gra("run", *served(here, latency=0.0))
    assert done.returncode == 0, done.stdout + done.stderr
    return data(here.store)


def addresses(place: Place) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted(place.store.glob(".servers/*/*.json"))]


def processes(place: Place) -> list[str]:
    """The command lines of server processes of this folder that live."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if str(SERVER) in words and str(place.folder / "paid") in words:
            found.append(" ".join(words))
    return found


def wait_for_calls(place: Place, count: int) -> None:
    until(lambda: len(paid(place)) >= count, place)


def states(place: Place, names: Sequence[str]) -> list[str]:
    found = status(place)
    return [found[name].state for name in names]


def test_shards_call_servers_of_other_jobs_which_move_and_end_with_them(cluster: Place, tmp_path: Path) -> None:
    words = (*served(cluster), *apart())
    dry = submit(cluster, *words, "--dry-run")
    assert re.search(r"gra/data servers: job \S+\[0-4\].*\n +sbatch .*gra\.cluster\.serving .*--task=%", dry)
    assert re.search(r"round-0: .*after:JOB\d+", dry)
    submit(cluster, *words)
    wait_for_calls(cluster, 60)
    line = status(cluster)[SERVERS]
    assert (line.state, line.done, line.total) == ("running", 5, 5)
    assert "up: slm-a http://" in told(cluster, "status")
    files = list(cluster.store.glob(".servers/*/*.json"))
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600] * 5
    before = {one["model"]: one for one in addresses(cluster)}

    said(cluster, "scontrol", "requeue", f"{line.jobs[0]}_0")  # an operator, or a preemption: it moves to another port
    until(lambda: {one["model"]: one for one in addresses(cluster)}["slm-a"]["attempt"] == 2, cluster)
    until(lambda: empty(cluster), cluster)
    assert {one.state for one in status(cluster).values()} == {"done"}, logs(cluster)
    assert processes(cluster) == []
    assert {one["state"] for one in addresses(cluster)} == {"left"}
    after = {one["model"]: one for one in addresses(cluster)}
    assert after["slm-a"]["url"] != before["slm-a"]["url"]
    assert [one.split()[0] for one in starts(cluster)].count("slm-a") == 2
    assert len(starts(cluster)) == 6
    assert 0 <= len(paid(cluster)) - distinct(cluster.store) <= IN_FLIGHT
    assert data(cluster.store) == alone(cluster, tmp_path / "alone")
