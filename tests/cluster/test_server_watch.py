"""When a server job ends: beside a stand-in of squeue that shows what a file says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gra import server_addresses
from gra.cluster import serving
from gra.cluster.records import comment
from gra.cluster.serving import Watch, main
from gra.errors import EXIT_CONFIG
from gra.server_addresses import LEFT

KEY = "synthesis-abc"
HOLD = """\
import sys
from pathlib import Path
from gra.locks import locked
with locked(Path(sys.argv[1]), print):
    print("held", flush=True)
    input()
"""


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that squeue shows."""
    found = tmp_path / "bin" / "squeue"
    found.parent.mkdir()
    found.write_text(f"#!/bin/sh\ncat {tmp_path / 'queue'}\n")
    found.chmod(0o755)
    monkeypatch.setenv("PATH", f"{found.parent}:/usr/bin:/bin")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setattr(serving, "_PATIENCE_S", 0.2)
    return tmp_path / "queue"


def rows(store: Path, *keys: str) -> str:
    return "".join(f"{number}|PENDING|Dependency|{comment(store, key)}\n" for number, key in enumerate(keys, 20))


def test_it_ends_when_no_other_job_of_its_step_is_in_the_queue(tmp_path: Path, queue: Path) -> None:
    watch = Watch(tmp_path, KEY, 3)
    for last in (f"{KEY}/round-0", f"{KEY}/merge-1", KEY):
        queue.write_text(rows(tmp_path, f"{KEY}/servers", "train-def", last))
        assert watch()
    assert server_addresses.read(watch.folder, 3) is None
    queue.write_text(rows(tmp_path, f"{KEY}/servers", "train-def", f"{KEY}0", "synthesis-abd/round-0"))
    assert not watch()
    left = server_addresses.read(watch.folder, 3)
    assert left is not None
    assert (left.job, left.state) == ("12_3", LEFT)  # `gra submit` does not count on it


def test_it_stays_while_squeue_does_not_answer_or_somebody_submits(tmp_path: Path, queue: Path) -> None:
    watch = Watch(tmp_path, KEY, 3)
    assert watch()  # there is no file: cat fails
    queue.write_text(rows(tmp_path, f"{KEY}/servers"))
    lock = tmp_path / ".locks" / "submit.lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert watch()
    holder.communicate("\n", timeout=20)
    assert not watch()


def test_without_squeue_it_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([str(tmp_path / "spec.json"), "--task=0"]) == EXIT_CONFIG
    assert "would hold its GPUs\n    -> in a container" in capsys.readouterr().err
