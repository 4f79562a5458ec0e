"""kill -9 at random moments, then the same call: the weights' bytes and the log of an unbroken run, validation losses included."""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path
from typing import Any

import pytest

from gra.chain.store.fingerprint import fingerprint, identity
from gra.fileio import sha256_file
from gra.train import stage
from gra.train.loop import checkpoints

KILLS = {"full, packed": 5, "lora, with dropout": 2}
TIMED = {"metrics.json", "speed.csv"}  # they hold what the clock says


def start(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> Any:
    """A real process that runs the stage. The server that forks it has the libraries loaded, which saves ten seconds a start."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gra.train.loop.sft", "trl.trainer.sft_trainer", "peft", "matplotlib.figure"])
    process = context.Process(target=stage.run, args=(config, inputs, output))
    process.start()
    return process


RECIPES: dict[str, dict[str, Any]] = {
    "full, packed": {
        **{"packing": True, "global_batch": 4, "epochs": 24, "save_steps": 6, "log_steps": 2},
        **{"held_out": 5, "eval_steps": 8},
    },
    "lora, with dropout": {"method": "lora", "lora": {"dropout": 0.1}, "epochs": 16, "save_steps": 6},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_kill_and_the_same_call_end_as_an_unbroken_run(
    name: str, student_folder: Path, data_folder: Path, config: Any, tmp_path: Path
) -> None:
    inputs = {"data": data_folder, "student": student_folder}
    recipe = config(warmup_ratio=0.1, **RECIPES[name])
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    unbroken.mkdir()
    broken.mkdir()
    whole = stage.run(recipe, inputs, unbroken)
    assert whole["steps"] >= 30

    chance, resumed, left = random.Random(), [], []
    for _ in range(KILLS[name]):
        before = checkpoints.newest(broken / "checkpoints", remove_torn=False)
        process = start(recipe, inputs, broken)
        deadline = time.monotonic() + 120
        while process.is_alive() and time.monotonic() < deadline:  # until it has got on, then a random moment more
            now = (
                checkpoints.newest(broken / "checkpoints", remove_torn=False)
                if (broken / "checkpoints").exists()
                else None
            )
            if now is not None and now != before:
                break
            time.sleep(0.02)
        time.sleep(chance.uniform(0.0, 0.15))
        process.kill()
        process.join()
        left.append(process.exitcode)
        resumed.append(None if before is None else before.name)
    assert -9 in left, f"no run was killed in its midst: {left}"
    assert any(resumed), f"no run went on from a checkpoint: {resumed}"
    again = stage.run(recipe, inputs, broken)
    assert again == whole, f"resumed from {resumed}"
    written = sorted(p.name for p in unbroken.iterdir())
    assert sorted(p.name for p in broken.iterdir()) == written
    for file in set(written) - TIMED:
        assert sha256_file(broken / file) == sha256_file(unbroken / file), f"{file} differs; resumed from {resumed}"


@pytest.mark.slow
def test_a_run_goes_on_under_another_save_steps(
    student_folder: Path, data_folder: Path, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the checkpoints lie changes nothing: the same weights and log, and the new number holds from the resume on."""
    inputs = {"data": data_folder, "student": student_folder}
    recipes = [config(epochs=12, save_steps=steps) for steps in (8, 6)]
    identities = [fingerprint(identity("train", 1, recipe, {}, {}, stage.NOT_HASHED)) for recipe in recipes]
    assert identities[0] == identities[1]
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    unbroken.mkdir()
    broken.mkdir()
    whole = stage.run(recipes[0], inputs, unbroken)
    process = start(recipes[0], inputs, broken)
    deadline = time.monotonic() + 120
    while (
        not (broken / "checkpoints").exists() or checkpoints.newest(broken / "checkpoints", remove_torn=False) is None
    ):
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.join()
    left = checkpoints.newest(broken / "checkpoints", remove_torn=False)
    assert process.exitcode == -9
    assert left is not None
    first = int(left.name.removeprefix(checkpoints.PREFIX))

    marked: list[str] = []
    mark = checkpoints.mark
    monkeypatch.setattr(
        checkpoints, "mark", lambda folder, **facts: (marked.append(folder.name), mark(folder, **facts))
    )
    assert stage.run(recipes[1], inputs, broken) == whole
    assert marked == [f"checkpoint-{step}" for step in range(6, int(whole["steps"]), 6) if step > first]
    for file in ("model", "log.csv"):
        assert sha256_file(broken / file) == sha256_file(unbroken / file)


def test_a_finished_run_says_so_again(student_folder: Path, data_folder: Path, config: Any, tmp_path: Path) -> None:
    inputs = {"data": data_folder, "student": student_folder}
    first = stage.run(config(max_steps=2), inputs, tmp_path)
    before = sha256_file(tmp_path)
    assert stage.run(config(max_steps=2), inputs, tmp_path) == first
    assert sha256_file(tmp_path) == before
