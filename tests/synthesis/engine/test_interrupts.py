"""A run that is told to stop, that runs out of disk, or that may not write: what it says, and that nothing paid for is lost."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_synthesis_app import MODELS, data_bytes, finish, free_port, serving

from gra.databases import connect_readonly

SMALL = ["synthesis.rounds=1", "synthesis.samples_per_round=30", "synthesis.dedup.model=hash"]


@pytest.fixture(scope="module")
def slow_server() -> Iterator[str]:
    port = free_port()
    yield from serving([sys.executable, "-m", "gra.simulation.server", "--port", str(port), "--latency", "0.05"], port)


@pytest.fixture(scope="module")
def slower_server() -> Iterator[str]:
    """The calls in flight take so long that the next signal comes while they are awaited."""
    port = free_port()
    yield from serving([sys.executable, "-m", "gra.simulation.server", "--port", str(port), "--latency", "0.5"], port)


@pytest.fixture(scope="module")
def seed_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from gra.simulation.world_stage import run

    folder = tmp_path_factory.mktemp("world")
    run({"seed": 0, "world": {"seeds": 60, "test_per_task": 5}}, {}, folder)
    return folder / "seeds" / "seeds.jsonl"


def words(seeds: Path, url: str, output: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "gra.synthesis",
        "seeds=world",
        f"seeds.path={seeds}",
        "seeds.limit=40",
        "pool=servers",
        f"pool.base_url={url}",
        MODELS,
        f"output={output}",
        *SMALL,
        *more,
    ]


@pytest.mark.parametrize("gone", [False, True], ids=["slow replies", "no server"])
def test_twice_stops_at_once_and_once_does_not_wait_for_a_server_that_is_gone(
    tmp_path: Path, seed_file: Path, gone: bool
) -> None:
    port = free_port()
    served = [sys.executable, "-m", "gra.simulation.server", "--port", str(port), "--latency", "0.3" if gone else "60"]
    stop = serving(served, port)
    url = next(stop)
    with subprocess.Popen(
        words(seed_file, url, tmp_path / "out"), cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as run:
        if gone:
            wait_for_calls(tmp_path / "out.partial", 1)
            stop.close()  # type: ignore[attr-defined]  # a generator: kills the server
        else:
            while not (tmp_path / "out.partial" / "status.json").exists():
                assert run.poll() is None
                time.sleep(0.05)
        time.sleep(1.5)
        for _ in range(1 if gone else 2):
            run.send_signal(signal.SIGINT)
            time.sleep(0.5)
        _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert "Traceback" not in said
    list(stop)


def recorded(folder: Path) -> int:
    connection = connect_readonly(folder / "journal.sqlite")
    try:
        return int(connection.execute("SELECT count(*) FROM calls").fetchone()[0])
    finally:
        connection.close()


def wait_for_calls(folder: Path, count: int) -> None:
    for _ in range(1600):
        time.sleep(0.05)
        if (folder / "journal.sqlite").exists():
            try:
                if recorded(folder) >= count:
                    return
            except sqlite3.OperationalError:  # not set up yet
                continue
    raise AssertionError(f"{folder}: no calls were recorded")


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ([signal.SIGINT], 130),
        ([signal.SIGINT, signal.SIGINT], 130),
        ([signal.SIGTERM], 85),
        ([signal.SIGUSR1, signal.SIGUSR1, signal.SIGTERM], 85),  # a batch system's way to announce one end
    ],
    ids=["Ctrl-C", "Ctrl-C twice", "SIGTERM", "SIGUSR1 twice, then SIGTERM"],
)
def test_a_signal_drains_and_a_second_one_stops_at_once(
    tmp_path: Path, seed_file: Path, slow_server: str, slower_server: str, numbers: list[signal.Signals], code: int
) -> None:
    command = words(seed_file, slower_server, tmp_path / "out", "runtime.concurrency=16")
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as run:
        wait_for_calls(tmp_path / "out.partial", 40)
        for number in numbers:
            run.send_signal(number)
            time.sleep(0.02)
        _, said = run.communicate(timeout=30)
    assert run.returncode == code, said
    assert ("stopped at once" in said) == (numbers.count(signal.SIGINT) > 1)
    assert re.search("the same command (resumes|goes on)", said)
    assert "Traceback" not in said
    before = recorded(tmp_path / "out.partial")
    assert before >= 20
    again = finish(words(seed_file, slow_server, tmp_path / "out"), tmp_path)
    assert again.returncode == 0, again.stderr
    fresh = finish(words(seed_file, slow_server, tmp_path / "fresh"), tmp_path)
    assert fresh.returncode == 0
    assert data_bytes(tmp_path / "out") == data_bytes(tmp_path / "fresh")


def test_a_full_disk_is_told_and_after_making_room_the_run_goes_on(
    tmp_path: Path, seed_file: Path, slow_server: str
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(disk)], check=False).returncode
    ):
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        command = words(seed_file, slow_server, disk / "out", "runtime.concurrency=16")
        full = finish(command, tmp_path)
        assert full.returncode == 1, full.stderr
        assert "Traceback" not in full.stderr
        assert "full" in full.stderr or "No space left" in full.stderr
        assert "same command" in full.stderr
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        before = recorded(disk / "out.partial")
        assert before > 20
        done = finish(command, tmp_path)
        assert done.returncode == 0, done.stderr
        assert recorded(disk / "out") >= before
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        refused = finish(words(seed_file, slow_server, disk / "other"), tmp_path)
        assert refused.returncode in (1, 2), refused.stderr
        assert "read-only" in refused.stderr.lower()
        assert "Traceback" not in refused.stderr
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def test_an_output_that_cannot_be_made_is_a_clear_error(tmp_path: Path, seed_file: Path, slow_server: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    refused = finish(words(seed_file, slow_server, tmp_path / "file" / "out"), tmp_path)
    assert refused.returncode in (1, 2)
    assert "file" in refused.stderr
    assert "Traceback" not in refused.stderr
