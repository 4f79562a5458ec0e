"""Servers that are jobs of their own on a real Slurm: found, lost, found again, and gone when nobody calls them. The servers count
every call; server_disasters.py does more to them."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from on_slurm import SLURM, data, distinct, empty, logs, said, status, submit, told, until
from places import Place
from server_disasters import (
    IN_FLIGHT,
    ROUND,
    SERVERS,
    STAGE,
    addresses,
    alone,
    apart,
    paid,
    processes,
    served,
    starts,
    strike,
)

pytestmark = [pytest.mark.slow, pytest.mark.slurm]


def test_shards_call_servers_of_other_jobs_which_move_and_end_with_them(cluster: Place, tmp_path: Path) -> None:
    dry = submit(cluster, *served(cluster), *apart(), "--dry-run")
    assert re.search(r"gra/data servers: job \S+\[0-4\].*\n +sbatch .*gra\.cluster\.serving .*--task=%", dry)
    assert re.search(r"round-0: .*after:JOB\d+", dry)
    strike(cluster, "requeue")
    assert processes(cluster) == []
    found = addresses(cluster)
    assert {one["state"] for one in found.values()} == {"left"}
    assert [found[number]["attempt"] for number in range(5)] == [2, 1, 1, 1, 1]
    assert sorted(starts(cluster)) == ["slm-a", "slm-a", "slm-b", "slm-c", "slm-d", "slm-e"]
    assert 0 <= paid(cluster) - distinct(cluster.store) <= IN_FLIGHT
    assert data(cluster.store) == alone(tmp_path / "alone", cluster.environment)


def test_servers_end_when_their_jobs_are_gone_and_come_back_with_them(cluster: Place) -> None:
    words = (*served(cluster, latency=0.3), *apart("replicas: 2", shards=1))
    submit(cluster, *words)  # one job calls ten servers, which are two arrays: the cluster's are of eight
    # The shard calls a model as soon as one of its two servers is up, so calls do not tell that all ten are.
    until(lambda: paid(cluster) >= 30 and status(cluster)[SERVERS].done == 10, cluster)
    line = status(cluster)[SERVERS]
    assert (line.state, line.total) == ("running", 10)
    assert "up: slm-a http://" in told(cluster, "status")
    files = list(cluster.store.glob(".servers/*/*.json"))
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600] * 10
    assert "nothing to submit" in submit(cluster, *words)
    said(cluster, "scancel", *status(cluster)["gra/data"].jobs, *status(cluster)["gra/audit"].jobs)
    until(lambda: empty(cluster), cluster, 60)
    assert processes(cluster) == []
    found = status(cluster)[SERVERS]
    assert (found.state, found.error) == (
        "stopped",
        "no job of its step was queued or running; gra submit queues it again",
    )
    assert submit(cluster, *words).count(": job ") == 4  # the servers, the step, what reads its data
    before = paid(cluster)
    until(lambda: paid(cluster) >= before + 30, cluster)
    assert "cancelled" in told(cluster, "cancel")
    until(lambda: empty(cluster), cluster, 60)
    assert processes(cluster) == []


def test_a_server_that_cannot_start_ends_the_jobs_with_a_reason(cluster: Place) -> None:
    none = cluster.gra(
        "submit", *served(cluster), "pool.serve=null", "pool.base_url=http://127.0.0.1:9/v1", *apart(), *SLURM
    )
    assert none.returncode == 2
    assert f"{STAGE}.servers" in none.stderr
    assert "no step of this stage has a pool that starts servers" in none.stderr
    broken = served(cluster, command="false {port}")
    submit(cluster, *broken, *apart("wait_s: 4"), "cluster.max_attempts=1")
    until(lambda: empty(cluster), cluster)
    found = status(cluster)
    assert found[SERVERS].state == "failed"
    assert "exited with code 1 before it was healthy" in logs(cluster)
    assert "no address of a server of slm-a, slm-b" in logs(cluster)
    assert found[ROUND].state in ("failed", "stopped")
