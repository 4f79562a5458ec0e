"""The separate process of an object ends when it is closed, whatever happens to the signal that ends it."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from gra import worker_process
from gra.worker_process import WorkerProcess


class Kept:
    """`place`: a file that `close` writes."""

    def __init__(self, place: Path):
        self._place = place

    def double(self, number: int) -> int:
        return 2 * number

    def deafen(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def close(self) -> None:
        time.sleep(0.7)  # longer than the pause between two SIGTERMs
        with self._place.open("a") as file:
            file.write("closed\n")


@pytest.fixture
def worker(tmp_path: Path) -> WorkerProcess:
    made = WorkerProcess("test", "nothing", Kept, tmp_path / "closed")
    assert made.call("double", 4).result(60) == 8
    return made


def test_a_signal_that_came_just_before_the_process_waits_is_sent_again(worker: WorkerProcess, tmp_path: Path) -> None:
    terminate, sent = worker._process.terminate, []

    def lost_at_first() -> None:
        sent.append(time.monotonic())
        if len(sent) > 1:
            terminate()

    worker._process.terminate = lost_at_first  # type: ignore[method-assign]
    worker.close()
    assert len(sent) >= 2
    assert worker._process.exitcode == 0
    assert (tmp_path / "closed").read_text() == "closed\n", "the object is closed once"


def test_a_process_that_does_not_end_is_killed(worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "CLOSE_S", 1.0)
    worker.call("deafen").result(60)
    worker.close()
    assert worker._process.exitcode == -signal.SIGKILL
