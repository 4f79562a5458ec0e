"""W&B: what an offline run holds, read back; and that nothing that happens to W&B ends a run or changes its result."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import wandb_offline

from gra import tracked_files
from gra.errors import Preempted
from gra.fileio import sha256_file
from gra.tracking import TrackingSettings
from gra.train import stage
from gra.train.loop import sft
from gra.train.report.tracking import Tracker

Inputs = dict[str, Path]
SECRET = "a-secret-that-stands-in-the-environment"


@pytest.fixture
def inputs(data_folder: Path, student_folder: Path) -> Inputs:
    (data_folder / "manifest.json").write_text('{"hash": "0123abcd"}')
    return {"data": data_folder, "student": student_folder}


@pytest.fixture(autouse=True)
def _unreachable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def tracked(config: Any, mode: str = "offline", **sft_keys: Any) -> Any:
    recipe = config(**sft_keys)
    recipe["runtime"]["tracking"] = {"mode": mode, "project": "tests", "group": "an experiment", "name": "arm-seed0"}
    return recipe


def test_an_offline_run_holds_the_whole_curve_and_what_was_used_and_made(
    inputs: Inputs, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after a stop and a resume: one run to send, from the first step on."""
    output = tmp_path / "made.partial"
    output.mkdir()
    recipe = tracked(config, max_steps=6, held_out=8, eval_steps=3)
    recipe["student"]["model"] = "/not/used/where/a/student/is/an/input"
    step_end = sft.checkpoints.mark

    def mark(folder: Path, **facts: Any) -> None:
        step_end(folder, **facts)
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(sft.checkpoints, "mark", mark)
        with pytest.raises(Preempted):
            stage.run({**recipe, "sft": {**recipe["sft"], "save_steps": 2}}, inputs, output)
    metrics = stage.run(recipe, inputs, output)

    run = wandb_offline.read(output)
    assert (run.project, run.group, run.name, run.job_type, run.exit_code) == (
        "tests",
        "an experiment",
        "arm-seed0",
        "train",
        0,
    )
    assert [row["_step"] for row in run.history] == [1, 2, 3, 4, 5, 6]
    for row in run.history:
        assert {"train/loss", "train/lr", "train/grad_norm", "train/tokens", "train/tokens_per_second"} <= set(row)
    assert [row["_step"] for row in run.history if "validation/loss" in row] == [3, 6]
    assert run.summary["train/train_loss"] == pytest.approx(metrics["train_loss"])
    assert run.summary["train/validation_loss"] == pytest.approx(metrics["validation_loss"])
    assert run.config["sft"]["learning_rate"] == 3e-3
    assert run.config["student"]["model"] == "input"
    assert run.config["inputs"] == {name: folder.name for name, folder in inputs.items()}
    assert str(tmp_path) not in json.dumps(run.config)

    data = run.used["data_folder"]
    assert (data.type, json.loads(data.metadata)["hash"]) == ("dataset", "0123abcd")
    places = {entry.path: (entry.ref, entry.size) for entry in data.manifest.contents}
    path = inputs["data"] / "data" / "train.parquet"
    assert places["data/train.parquet"] == (path.as_uri(), path.stat().st_size)
    made = run.logged["made-model"]
    assert made.type == "model"
    files = {entry.path: entry for entry in made.manifest.contents}
    assert set(files) == {p.name for p in (output / "model").iterdir()}
    assert files["model.safetensors"].ref == (tmp_path / "made" / "model" / "model.safetensors").as_uri()
    assert not any(entry.local_path for entry in files.values())

    for file in (output / "wandb").rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert SECRET.encode() not in content
            assert b"0" * 40 not in content, file
    assert not list((tmp_path / "home").rglob("*wandb*"))


def test_equal_data_is_one_version_wherever_it_lies(inputs: Inputs, tmp_path: Path) -> None:
    import shutil

    class Run:
        found: list[Any] = []  # noqa: RUF012

        def _log_artifact(self, artifact: Any, **_: Any) -> None:
            self.found.append(artifact)

    other = tmp_path / "elsewhere" / inputs["data"].name
    shutil.copytree(inputs["data"], other)
    for folder in (inputs["data"], other):
        tracked_files.use_data(Run(), "data", folder)
    assert Run.found[0].digest == Run.found[1].digest


def test_weights_are_sent_where_that_is_asked_for(tmp_path: Path) -> None:
    output = tmp_path / "out.partial"
    (output / "model").mkdir(parents=True)
    (output / "model" / "weights").write_bytes(b"abc")
    tracker = Tracker(TrackingSettings(upload_model=True), output, {}, "upload")
    tracker.log_model(output)
    tracker.finish({})
    (entry,) = wandb_offline.read(output).logged["out-model"].manifest.contents
    assert (entry.ref, entry.local_path) == ("", str(tmp_path / "out" / "model" / "weights"))


def test_without_tracking_and_without_a_server_the_result_is_the_same(
    inputs: Inputs, config: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models, runs = set(), []
    for mode in ("none", "online"):
        folder = tmp_path / mode
        folder.mkdir()
        with caplog.at_level(logging.WARNING):
            stage.run(tracked(config, mode, max_steps=1), inputs, folder)
        runs.append(len(list(folder.glob("wandb/offline-run-*/*.wandb"))))
        models.add(sha256_file(folder / "model"))
    assert runs == [0, 1]
    assert len(models) == 1
    assert "cannot be used" in caplog.text
    assert "continuing offline" in caplog.text
    assert not (tmp_path / "none" / "wandb").exists()


def test_wandb_killed_in_the_midst(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its own process is gone: rows are dropped with a word, the end is not waited for, and the next step can track again."""
    tracker = Tracker(TrackingSettings(), tmp_path / "first", {}, "killed")
    tracker.log({"train/loss": 1.0}, 1)
    core = [p for p in psutil.Process().children(recursive=True) if "wandb-core" in " ".join(p.cmdline())]
    assert core
    for process in core:
        process.kill()
    start = time.monotonic()
    with caplog.at_level(logging.WARNING):
        for step in range(2, 50):
            tracker.log({"train/loss": 1.0}, step)
        tracker.finish({"train/steps": 3.0})
    assert time.monotonic() - start < 20
    assert caplog.text.count("nothing more is sent") == 1

    again = Tracker(TrackingSettings(), tmp_path / "second", {}, "again")
    again.log({"train/loss": 2.0}, 1)
    again.finish({})
    assert wandb_offline.read(tmp_path / "second").history[0]["train/loss"] == 2.0
