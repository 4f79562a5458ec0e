"""SIGTERM, SIGUSR1 and Ctrl-C: the step is finished, a whole checkpoint written, the exit code is 85 (130), and the same call ends
with the weights' bytes and the log of an unbroken run."""

from __future__ import annotations

import csv
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gra.errors import Interrupted, Preempted
from gra.fileio import sha256_file
from gra.train import preempt, stage
from gra.train.loop import checkpoints, sft

Inputs = dict[str, Path]
RECIPE = {"epochs": 6, "save_steps": 9, "log_steps": 3, "held_out": 4, "eval_steps": 6, "warmup_ratio": 0.1}
STEPS = 30  # 36 samples in batches of 8, six times


@pytest.fixture
def inputs(data_folder: Path, student_folder: Path) -> Inputs:
    return {"data": data_folder, "student": student_folder}


@contextmanager
def signal_in_step(number: int, step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process sends itself the signal in the midst of optimizer step `step` (from 1)."""
    attach = sft.throughput.attach

    def attach_and_listen(trainer: Any, *given: Any) -> None:
        attach(trainer, *given)
        take = trainer.training_step

        def training_step(*args: Any, **kwargs: Any) -> Any:
            if trainer.state.global_step == step - 1:
                os.kill(os.getpid(), number)
            return take(*args, **kwargs)

        trainer.training_step = training_step

    with monkeypatch.context() as patch:
        patch.setattr(sft.throughput, "attach", attach_and_listen)
        yield


def test_stopped_again_and_again_it_ends_as_an_unbroken_run(
    inputs: Inputs, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Stopped between two rows of the log, at one, and at a validation; the newest checkpoint torn once."""
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    unbroken.mkdir()
    broken.mkdir()
    whole = stage.run(config(**RECIPE), inputs, unbroken)
    assert whole["steps"] == STEPS
    folder = broken / "checkpoints"
    for number, step, error, code in (
        (signal.SIGTERM, 5, Preempted, 85),
        (signal.SIGUSR1, 12, Preempted, 85),
        (signal.SIGINT, 14, Interrupted, 130),
    ):
        with (
            signal_in_step(number, step, monkeypatch),
            pytest.raises(error, match=f"after step {step} of {STEPS}") as caught,
        ):
            stage.run(config(**RECIPE), inputs, broken)
        assert caught.value.code == code
        assert "the same command resumes" in str(caught.value)
        assert checkpoints.newest(folder, remove_torn=False) == folder / f"checkpoint-{step}"
        assert not (broken / "model").exists()
    torn = folder / "checkpoint-14" / "optimizer.pt"
    torn.write_bytes(torn.read_bytes()[:-1])
    with caplog.at_level(logging.INFO):
        assert stage.run(config(**RECIPE), inputs, broken) == whole
    assert "checkpoint-14 is incomplete" in caplog.text
    assert "resuming from checkpoint-12" in caplog.text
    for file in ("model", "log.csv", "loss.png"):
        assert sha256_file(broken / file) == sha256_file(unbroken / file), file
    steps = [[row["step"] for row in csv.DictReader((folder / "speed.csv").open())] for folder in (unbroken, broken)]
    assert steps[0] == steps[1]


def test_a_signal_in_the_last_step_lets_the_run_end(
    inputs: Inputs, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with signal_in_step(signal.SIGTERM, 3, monkeypatch):
        assert stage.run(config(max_steps=3), inputs, tmp_path)["steps"] == 3
    assert (tmp_path / "model").is_dir()
    assert signal.getsignal(signal.SIGTERM) == before


def test_before_the_first_step_it_leaves_at_once(
    inputs: Inputs, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokenised, and stopped while the model is loaded, behind an `except Exception`: what is done is used by the next start."""
    load = sft.load.load

    def slow_load(*given: Any) -> Any:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)
        except Exception:  # noqa: BLE001 as libraries have it
            pytest.fail("the signal was swallowed")
        return load(*given)

    with monkeypatch.context() as patch:
        patch.setattr(sft.load, "load", slow_load)
        with pytest.raises(Preempted, match="before its first step") as caught:
            stage.run(config(max_steps=2), inputs, tmp_path)
    assert caught.value.code == 85
    tokens = sha256_file(tmp_path / "tokens")
    assert checkpoints.newest(tmp_path / "checkpoints") is None
    made: list[str] = []
    discard = sft.tokenised.discard
    monkeypatch.setattr(
        sft.tokenised, "discard", lambda folder: (made.append(sha256_file(folder / "tokens")), discard(folder))
    )
    assert stage.run(config(max_steps=2), inputs, tmp_path)["steps"] == 2
    assert made == [tokens]


@pytest.mark.parametrize(
    ("first", "second", "seconds", "rank", "impatient"),
    [
        (signal.SIGINT, signal.SIGINT, 0.1, None, True),
        (signal.SIGINT, signal.SIGINT, 0.1, "0", False),  # the terminal's and torchrun's
        (signal.SIGTERM, signal.SIGTERM, 0.1, None, False),  # Slurm's, and gra run's after it
        (signal.SIGTERM, signal.SIGTERM, 10, None, True),
        (signal.SIGUSR1, signal.SIGTERM, 100, None, False),  # Slurm's order of things
        (signal.SIGTERM, signal.SIGINT, 1, None, True),
    ],
)
def test_which_second_signal_stops_at_once(
    first: int, second: int, seconds: float, rank: str | None, impatient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", rank) if rank else monkeypatch.delenv("RANK", raising=False)
    clock, left = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(os, "_exit", left.append)
    stop = preempt.Stop()
    stop.phase = "steps"
    stop.handle(first, None)
    clock[0] = seconds
    stop.handle(second, None)
    assert left == ([130 if first == signal.SIGINT else 85] if impatient else [])
    assert stop.requested == (130 if first == signal.SIGINT else 85)


def test_a_thread_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """Python lets only the main thread set handlers; elsewhere the stage runs as if there were none."""
    ends: list[Any] = []
    run: Callable[..., Any] = preempt.stoppable(lambda _settings, _inputs, output: ends.append(output))
    thread = threading.Thread(target=run, args=(None, {}, tmp_path))
    thread.start()
    thread.join()
    assert ends == [tmp_path]


@pytest.mark.slow
def test_the_command_ends_with_85(inputs: Inputs, tmp_path: Path) -> None:
    """The real command, stopped from outside; its folder is kept for the next start."""
    partial = tmp_path / "made.partial"
    command = [
        *(
            sys.executable,
            "-P",
            "-m",
            "train",
            f"data={inputs['data']}",
            f"student_folder={inputs['student']}",
            "student=tiny",
        ),
        *(
            "sft=cpu_tiny",
            "sft.cutoff_length=96",
            "sft.epochs=1000",
            "sft.save_steps=1",
            "runtime.threads=1",
            "tracking=none",
        ),
        f"output={tmp_path / 'made'}",
    ]
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            deadline = time.monotonic() + 120
            while not list(partial.glob("checkpoints/*/whole.json")):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(signal.SIGUSR1)
            process.wait(60)
        finally:
            process.kill()
    lines = (tmp_path / "said").read_text().splitlines()
    assert process.returncode == 85, lines[-5:]
    assert any(line.startswith("stopped by a signal after step") for line in lines[-5:]), lines[-5:]
    assert checkpoints.newest(partial / "checkpoints", remove_torn=False) is not None
    assert not (tmp_path / "made").exists()
