"""`gra submit` on a real Slurm: what jobs do when they are stopped, fail or are submitted twice, with every call counted."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import working_folder
from counting_server import Counting, counting
from disasters import SHARDS, strike
from on_slurm import SLURM, data, distinct, empty, logs, said, status, submit, told, until
from places import Place

from gra.cluster.snapshot import PARTS
from gra.paths import slurm_dir, source_root

pytestmark = [pytest.mark.slow, pytest.mark.slurm]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone of the code as it is here, that a test may edit."""
    root, folder = source_root(), tmp_path / "checkout"
    if root is None:
        pytest.skip("the code does not run from a git checkout")
    for part in PARTS:
        shutil.copytree(root / part, folder / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder


def test_two_submissions_at_once_queue_a_chain_once_and_it_runs_the_code_that_was_submitted(
    cluster: Place, checkout: Path
) -> None:
    typo = cluster.gra("submit", "experiment=fake", *SLURM, "cluster.stages.train.gpuz=1")
    assert typo.returncode == 2
    assert "did you mean" in typo.stderr
    foreign = cluster.gra("submit", "experiment=fake")
    assert "cluster.executor" in foreign.stderr
    assert not cluster.store.exists()
    assert empty(cluster)
    words = ("experiment=fake", "made.slow=6")
    editing = {**cluster.environment, "PYTHONPATH": f"{checkout}:{cluster.environment['PYTHONPATH']}"}
    command = shlex.join(cluster.command("submit", *words, *SLURM))
    files = [cluster.folder / f"said-{number}" for number in range(2)]
    shells = [
        subprocess.Popen(
            ["bash", "-c", f"{command} >{file}; sleep 300"], cwd=cluster.folder, env=editing, start_new_session=True
        )
        for file in files
    ]
    until(lambda: all(file.exists() and "submit" in file.read_text() for file in files), cluster)
    for shell in shells:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
    (checkout / "gra" / "errors.py").write_text("raise SystemExit('the edited code')\n")
    (checkout / "slurm" / "attempts.sh").write_text("exit 9\n")
    text = "".join(file.read_text() for file in files)
    assert text.count(": job ") == 5  # the arm `twin` needs the same results as `a`
    assert text.count("nothing to submit") == 1
    assert "nothing to submit" in submit(cluster, *words)  # queued or running
    (code,) = (cluster.store / ".code").iterdir()
    until(lambda: empty(cluster), cluster)
    assert {job.state for job in status(cluster).values()} == {"done"}, logs(cluster)
    assert "all 7 steps are done" in submit(cluster, *words)
    for path in cluster.store.glob("fake*/manifest.json"):
        assert json.loads(path.read_text())["git"] == json.loads((code / "snapshot.json").read_text())
    assert len(cluster.calls) == 5


def test_a_shard_that_always_fails_is_named_and_the_others_finish(cluster: Place) -> None:
    bad = cluster.folder / "calls.bad"
    bad.write_text("9")
    words = ("experiment=divided", "+cluster.stages.fake_shards.shards=10", "cluster.max_attempts=2")
    submit(cluster, *words)  # two arrays a round: the cluster's are of eight
    until(lambda: empty(cluster), cluster)
    found = status(cluster)
    first, merge = found["a/data round-0"], found["a/data merge-0"]
    assert (first.state, first.done, first.total) == ("failed", 9, 10)
    (shard,) = first.failed
    assert (shard["task"], shard["attempt"], shard["exit"]) == ("9", 2, 1)
    assert shard["error"] == "a/data: a disk of this shard is full"
    assert "a disk of this shard" in Path(shard["log"]).read_text()
    near = Path(shard["log"]).relative_to(cluster.folder)
    assert f"task 9: attempt 2, exit code 1, log {near}: {shard['error']}" in told(cluster, "status")
    assert merge.error == "a/data: shards missing in round-0: 9 (1 of 10, and cluster.merge_takes=0.05)"
    assert (merge.state, merge.attempt) == ("failed", 1)
    assert found["a/data round-1"].error == "not started: a/data merge-0 did not finish"
    assert "upstream merge-0 did not finish" in found["a/data"].error
    assert found["a/scores"].error == "not started: a/data did not finish"
    assert sorted(cluster.calls) == sorted([f"fake_shard 0 {n}" for n in range(10)] + ["fake_shard 0 9"])
    bad.unlink()
    nodes = ",".join(sorted(set(said(cluster, "sinfo", "-h", "-N", "-o", "%N").split())))
    said(cluster, "scontrol", "update", f"nodename={nodes}", "state=drain", "reason=test")  # nothing starts now
    try:
        again = submit(cluster, *words)
        assert "[1] + 8" in again  # the ninth alone
        assert again.count(": job ") == 6  # a round of ten is two arrays
        assert "cancelled 6" in told(cluster, "cancel")
    finally:
        said(cluster, "scontrol", "update", f"nodename={nodes}", "state=resume")
    assert submit(cluster, *words).count(": job ") == 6
    until(lambda: empty(cluster), cluster)
    assert {job.state for job in status(cluster).values()} == {"done"}, logs(cluster)
    assert cluster.calls[11:13] == ["fake_shard 0 9", "fake_shards 10"]
    assert len(cluster.calls) == 11 + 2 + 10 + 2


def test_stopped_jobs_without_requeue_have_successors_that_the_rest_waits_for(cluster: Place) -> None:
    submit(cluster, "experiment=fake", "made.slow=8", "cluster.requeue=false")
    until(lambda: len(cluster.calls) >= 3, cluster)
    job = status(cluster)["a/make"].jobs[0]
    said(cluster, "scancel", "--signal=USR1", "--batch", job)  # as Slurm does before a time limit
    until(lambda: empty(cluster), cluster)
    found = status(cluster)
    assert {line.state for line in found.values()} == {"done"}, logs(cluster)
    assert len(found["a/make"].jobs) == 2
    assert found["a/make"].attempt == 2


def test_the_templates_by_hand_pass_a_signal_on_to_all_nodes_and_number_the_tasks(cluster: Place) -> None:
    (cluster.folder / "step.sh").write_text(
        "trap 'echo told >>saw-$SLURM_NODEID; exit 85' USR1\n"
        "echo started >>saw-$SLURM_NODEID\n"
        "until [ -e enough ]; do sleep 0.1; done\n"
    )
    (cluster.folder / "deaf.sh").write_text(
        "trap '' USR1\necho started >>deaf\nuntil [ -e enough ]; do sleep 0.1; done\n"
    )
    nodes = [cluster.folder / f"saw-{number}" for number in range(2)]

    def batch(*words: str) -> str:
        options = ["sbatch", "--parsable", "-o", "/dev/null", "--mem=500", *words]
        done = subprocess.run(options, cwd=cluster.folder, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    environment = {**cluster.environment, "GRA_SLURM": str(slurm_dir()), "GRA_SIGNAL_S": "6"}
    job = batch("--nodes=2", str(slurm_dir() / "multinode.sbatch"), "bash", "step.sh")
    batch("--array=0-1", str(slurm_dir() / "array.sbatch"), "touch", "made-%-of-2")
    deaf = batch(str(slurm_dir() / "task.sbatch"), "bash", "deaf.sh")
    until(lambda: all(file.exists() for file in (*nodes, cluster.folder / "deaf")), cluster)
    said(cluster, "scancel", "--signal=USR1", "--batch", job, deaf)  # as Slurm does before a preemption or a time limit
    until(lambda: all("told" in file.read_text() for file in nodes), cluster)
    until(
        lambda: (cluster.folder / "deaf").read_text().count("started") == 2, cluster
    )  # killed in time, and queued again
    (cluster.folder / "enough").touch()
    until(lambda: empty(cluster), cluster)
    assert [file.read_text().split() for file in nodes] == [["started", "told", "started"]] * 2
    assert {file.name for file in cluster.folder.glob("made-*")} == {"made-0-of-2", "made-1-of-2"}
    (logs_of,) = (cluster.folder / "runs" / "slurm").glob(f"*-{job}")
    assert (logs_of / "job.attempts").read_text() == "2\n"


@pytest.fixture
def server() -> Iterator[Counting]:
    with counting(latency=0.02) as found:
        yield found


def test_a_chain_survives_what_befalls_its_shards_and_is_that_of_one_run(
    cluster: Place, server: Counting, tmp_path: Path
) -> None:
    """One submission is enough. disasters.py does each alone, also those that take long or need a second one."""
    (tmp_path / "alone").mkdir()
    alone = working_folder(tmp_path / "alone", cluster.environment)
    words = ("experiment=tiny", f"pool.base_url={server.url}")
    done = alone.gra("run", *words, "cluster.threads=1")
    assert done.returncode == 0, done.stdout + done.stderr
    server.taken()
    for path in (*alone.store.glob("world-*"), *alone.store.glob("student-*")):  # done: no job is queued for them
        if path.is_dir():
            shutil.copytree(path, cluster.store / path.name)

    text = submit(cluster, *words, *SHARDS)
    assert [line.partition(": job ")[0] for line in text.splitlines() if ": job " in line] == [
        *(
            "gra/data round-0",
            "gra/data merge-0",
            "gra/data round-1",
            "gra/data",
            "gra/audit",
            "gra/model",
            "gra/scores",
        )
    ]
    for names in (("requeue", "kill", "preempt"), ("node",)):
        strike(cluster, server, *names)
        assert not list(cluster.store.rglob("*-shm"))
    server.held_at = None
    until(lambda: empty(cluster), cluster)
    assert {line.state for line in status(cluster).values()} == {"done"}, logs(cluster)
    assert data(cluster.store) == data(alone.store)
    in_flight = 6 + 6  # calls of the shards that were struck, each time
    assert 0 <= server.taken() - distinct(cluster.store) <= in_flight
    table = cluster.gra("compare", "experiment=tiny", f"pool.base_url={server.url}")
    assert table.stdout == done.stdout
    assert server.total == 0
