"""`gra submit` on a real Slurm: what jobs do when they are stopped, fail or are submitted twice, with every call counted."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from counting_server import Counting, counting
from places import Place

pytestmark = [pytest.mark.slow, pytest.mark.slurm]
SLURM = ("cluster=slurm", "cluster.resources.mem=500", "cluster.resources.cpus=1")
SHARDS = "cluster.stages.synthesis.shards"
IN_FLIGHT = 2  # runtime.concurrency of the experiment `tiny`


def submit(place: Place, *words: str) -> str:
    done = place.gra("submit", *words, *SLURM)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def said(place: Place, *words: str) -> str:
    done = subprocess.run(words, env=place.environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def status(place: Place) -> dict[str, dict[str, Any]]:
    done = subprocess.run(
        [*place.command("status")[:5], "--json"],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {" ".join(filter(None, [job["step"], job["wave"]])): job for job in json.loads(done.stdout)["jobs"]}


def until(holds: Callable[[], bool], place: Place, seconds: float = 400) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, logs(place)
        time.sleep(0.3)


def empty(place: Place) -> bool:
    return not said(place, "squeue", "-h", "-o", "%A").strip()


def logs(place: Place) -> str:
    found = sorted((place.store / ".jobs").rglob("*.log"))
    return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in found)


def data(place: Place) -> dict[str, str]:
    (folder,) = (path.parent for path in place.store.glob("synthesis-*/manifest.json"))
    names = ("data/train.parquet", "rejected.parquet", "stats.json", "README.md")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def test_a_chain_is_queued_once_and_runs_the_code_that_was_submitted(cluster: Place) -> None:
    typo = cluster.gra("submit", "experiment=fake", *SLURM, "cluster.stages.train.gpuz=1")
    assert typo.returncode == 2
    assert "did you mean" in typo.stderr
    foreign = cluster.gra("submit", "experiment=fake")
    assert "cluster.executor" in foreign.stderr
    assert not cluster.store.exists()
    assert empty(cluster)
    text = submit(cluster, "experiment=fake", "made.slow=6")
    assert text.count(": job ") == 5  # the arm `twin` needs the same results as `a`
    assert "nothing to submit" in submit(cluster, "experiment=fake", "made.slow=6")  # queued or running
    (code,) = (cluster.store / ".code").iterdir()
    assert not list((code / "gra" / "chain").glob("nothing"))
    until(lambda: empty(cluster), cluster)
    assert {job["state"] for job in status(cluster).values()} == {"done"}, logs(cluster)
    assert "all 7 steps are done" in submit(cluster, "experiment=fake", "made.slow=6")
    for path in cluster.store.glob("fake*/manifest.json"):
        assert json.loads(path.read_text())["git"] == json.loads((code / "snapshot.json").read_text())
    assert len(cluster.calls) == 5


def test_a_failing_job_has_its_attempts_and_what_waits_for_it_ends(cluster: Place) -> None:
    submit(cluster, "experiment=fake", "made.fail=error", "cluster.max_attempts=2")
    until(lambda: empty(cluster), cluster)
    found = status(cluster)
    assert found["a/make"]["state"] == "failed"
    assert found["a/make"]["attempt"] == 2
    assert found["a/make"]["error"] == "a/make: this cannot be"
    assert Path(found["a/make"]["log"]).is_file()
    assert found["a/scores"]["state"] == "stopped"
    assert found["a/scores"]["error"] == "not started: a/make did not finish"
    assert found["b/scores"]["state"] == "done"  # what does not need it
    nodes = ",".join(sorted(set(said(cluster, "sinfo", "-h", "-N", "-o", "%N").split())))
    said(
        cluster, "scontrol", "update", f"nodename={nodes}", "state=drain", "reason=test"
    )  # what is queued now cannot start
    try:
        again = submit(cluster, "experiment=fake", "made.fail=error", "cluster.max_attempts=1")
        assert again.count(": job ") == 2  # only what is missing
        assert "cancelled 2" in said_by_cancel(cluster)
    finally:
        said(cluster, "scontrol", "update", f"nodename={nodes}", "state=resume")
    until(lambda: empty(cluster), cluster)


def said_by_cancel(place: Place) -> str:
    done = subprocess.run(
        place.command("cancel")[:5],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_stopped_jobs_without_requeue_have_successors_that_the_rest_waits_for(cluster: Place) -> None:
    submit(cluster, "experiment=fake", "made.slow=8", "cluster.requeue=false")
    until(lambda: len(cluster.calls) >= 3, cluster)
    job = status(cluster)["a/make"]["jobs"][0]
    said(cluster, "scancel", "--signal=USR1", "--batch", job)  # as Slurm does before a time limit
    until(lambda: empty(cluster), cluster)
    found = status(cluster)
    assert {line["state"] for line in found.values()} == {"done"}, logs(cluster)
    assert len(found["a/make"]["jobs"]) == 2
    assert found["a/make"]["attempt"] == 2


@pytest.fixture
def server() -> Any:
    with counting(latency=0.1) as found:
        yield found


def test_shards_survive_what_befalls_them_and_pay_for_no_call_twice(
    cluster: Place, server: Counting, tmp_path: Path
) -> None:
    words = ("experiment=tiny", f"pool.base_url={server.url}")
    alone = cluster.gra("run", *words, "store=alone", timeout=150)
    assert "audit" in alone.stdout + alone.stderr
    one, local = server.taken(), Place(tmp_path, cluster.environment)
    folder = next((tmp_path / "alone").glob("synthesis-*/manifest.json")).parent
    wanted = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in data_names()}

    shards = (f"{SHARDS}=3", "cluster.resources.partition=low")
    submit(cluster, *words, *shards)
    until(lambda: status(cluster)["gra/data round-1"]["attempt"] > 0 and server.total > 40, cluster)
    assert not list(cluster.store.rglob("*-shm"))
    array = status(cluster)["gra/data round-1"]["jobs"][0]
    said(cluster, "scontrol", "requeue", f"{array}_0")
    said(cluster, "sbatch", "-p", "main", "--exclusive", "-N2", "-o", "/dev/null", "--wrap", "sleep 1")  # preempts all
    refused = cluster.gra("submit", *words, *shards, f"{SHARDS}=4", *SLURM)
    assert refused.returncode == 1
    assert "divided into 3 shards, not 4" in refused.stderr
    until(lambda: empty(cluster), cluster)
    assert {line["state"] for line in status(cluster).values()} == {"done"}, logs(cluster)
    assert data(cluster) == wanted
    paid, spare = server.taken(), prepared(cluster)
    repeated = paid - distinct(cluster)
    assert 0 <= repeated <= 3 * IN_FLIGHT, (paid, one, spare)
    assert "all 3 steps are done" in submit(cluster, *words, *shards)
    assert "all 3 steps are done" in submit(cluster, *words, f"{SHARDS}=4")
    assert server.total == 0
    assert local.folder == tmp_path


def data_names() -> tuple[str, ...]:
    return ("data/train.parquet", "rejected.parquet", "stats.json", "README.md")


def prepared(place: Place) -> list[dict[str, float]]:
    return [json.loads(path.read_text()) for path in place.store.rglob("shard.json")]


def distinct(place: Place) -> int:
    """The calls in the run's journal, which has imported those of its shards."""
    from contextlib import closing

    from gra.databases import connect_readonly

    (journal,) = place.store.glob("synthesis-*/journal.sqlite")
    with closing(connect_readonly(journal)) as connection:
        return int(connection.execute("SELECT count(*) FROM calls").fetchone()[0])
