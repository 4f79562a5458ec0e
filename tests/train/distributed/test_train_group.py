"""Two processes on a CPU (gloo) train as one does: plain data parallelism under torchrun, DeepSpeed ZeRO-2 and ZeRO-3; they are
stopped, killed, and go on."""

from __future__ import annotations

import csv
import importlib.util
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import process_group as group
import pytest

from gra.errors import EXIT_PREEMPTED, GraError, TrainError
from gra.train import stage
from gra.train.loop import checkpoints

Config = dict[str, Any]
SAMPLES = 41  # divides by nothing: the last round of an epoch has too few for two processes
deepspeed = pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="deepspeed is not installed")


@pytest.fixture(scope="module")
def inputs(student_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Talks of very unequal lengths."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("unequal")
    (folder / "data").mkdir()
    talks = [
        [
            {"role": "user", "content": f"What follows {n}?"},
            {"role": "assistant", "content": f"{n}" + " it is" * (n % 9) ** 2},
        ]
        for n in range(SAMPLES)
    ]
    pq.write_table(pa.table({"messages": talks}), folder / "data" / "train.parquet")
    return {"data": folder, "student": student_folder}


@pytest.fixture
def recipe(config: Callable[..., Config]) -> Callable[..., Config]:
    def make(**sft: Any) -> Config:
        made = config(
            **{"learning_rate": 1e-3, "warmup_ratio": 0.03, "save_steps": 8, "epochs": 4, "cutoff_length": 128} | sft
        )
        made["runtime"]["per_device_batch"] = 2
        return made

    return make


@pytest.fixture(scope="module")
def alone(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[Config], Path]:
    """The same recipe on one process; made once for recipes that are the same but for how they are run."""
    made: list[tuple[Config, Path]] = []

    def run(recipe: Config) -> Path:
        sft = {**recipe["sft"], "sharding": None}
        for known, folder in made:
            if known == sft:
                return folder
        folder = tmp_path_factory.mktemp("alone")
        stage.run({**recipe, "sft": sft}, inputs, folder)
        made.append((sft, folder))
        return folder

    return run


def assert_same_run(one: Path, other: Path) -> None:
    """The losses of every step, and the published weights."""
    import torch
    from transformers import AutoModelForCausalLM

    losses = [[float(row["loss"]) for row in csv.DictReader((folder / "log.csv").open())] for folder in (one, other)]
    assert len(losses[0]) > 10
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
    assert sorted(p.name for p in (one / "model").iterdir()) == sorted(p.name for p in (other / "model").iterdir())
    models = [AutoModelForCausalLM.from_pretrained(folder / "model") for folder in (one, other)]
    for (name, here), (_, there) in zip(*(model.named_parameters() for model in models), strict=True):
        torch.testing.assert_close(here, there, atol=2e-3, rtol=0, msg=lambda text, name=name: f"{name}: {text}")


def left_at(step: int, output: Path) -> Config:
    """What the mark of the newest checkpoint says, which both processes wrote when one of them was stopped in this step."""
    left = checkpoints.newest(output / "checkpoints")
    assert left is not None
    assert left.name == f"{checkpoints.PREFIX}{step}"
    return checkpoints.facts(left) or {}


@pytest.mark.slow
def test_torchrun_goes_on_where_two_processes_were_stopped(
    inputs: dict[str, Path], recipe: Any, alone: Any, tmp_path: Path, free_port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """The resume is in a later epoch: its order has to be that epoch's."""
    made = recipe()
    assert (
        group.codes(group.start(2, free_port, made, inputs, tmp_path, stop=(10, signal.SIGTERM)))
        == [EXIT_PREEMPTED] * 2
    )
    facts = left_at(10, tmp_path)
    assert facts["processes"] == 2
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= set(facts["files"])
    made["runtime"] |= {"launch": "torchrun", "nproc": 2}
    metrics = stage.run(made, inputs, tmp_path)
    assert "resuming from checkpoint-10" in capfd.readouterr().err
    assert metrics["steps"] == 4 * 6
    assert_same_run(alone(made), tmp_path)
    assert not {"checkpoints", "tokens", "preempted.json"} & {path.name for path in tmp_path.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, EXIT_PREEMPTED)])
def test_no_process_outlives_the_launcher(
    number: int, code: int, inputs: dict[str, Path], recipe: Any, tmp_path: Path
) -> None:
    made = recipe(epochs=500)
    made["runtime"] |= {"launch": "torchrun", "nproc": 2}
    output = tmp_path / "out"
    output.mkdir()
    launcher = group.context().Process(target=launch_in, args=(str(tmp_path), made, inputs, output))
    launcher.start()
    deadline = time.monotonic() + 120
    while len(pids := [int(p.read_text() or 0) for p in tmp_path.glob("gra-train-*/pid-*")]) < 2 or not all(pids):
        assert time.monotonic() < deadline
        assert launcher.is_alive()
        time.sleep(0.02)
    os.kill(launcher.pid, number)
    launcher.join(60)
    assert launcher.exitcode == code
    deadline = time.monotonic() + 5
    while any(state(pid) != "Z" for pid in pids):
        assert time.monotonic() < deadline, "workers go on without their launcher"
        time.sleep(0.02)


def launch_in(temporary: str, config: Config, inputs: dict[str, Path], output: Path) -> None:
    """Run the stage with `temporary` as the folder for what launcher and workers tell each other."""
    tempfile.tempdir = temporary
    try:
        stage.run(config, inputs, output)
    except GraError as error:
        sys.exit(error.code)


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


@pytest.mark.slow
@deepspeed
def test_zero2_stopped_and_resumed_is_one_process(
    inputs: dict[str, Path], recipe: Any, alone: Any, tmp_path: Path, free_port: int
) -> None:
    made = recipe(sharding="zero2")
    assert (
        group.codes(group.start(2, free_port, made, inputs, tmp_path, stop=(10, signal.SIGUSR1)))
        == [EXIT_PREEMPTED] * 2
    )
    facts = left_at(10, tmp_path)
    assert facts["sharding"] == "zero2"
    assert len([name for name in facts["files"] if name.endswith("optim_states.pt")]) == 2, (
        "a shard of the optimizer is missing"
    )
    with pytest.raises(TrainError, match="written with 2 process"):
        stage.run(made, inputs, tmp_path)
    assert group.codes(group.start(2, free_port, made, inputs, tmp_path)) == [0, 0]
    assert_same_run(alone(made), tmp_path)


@pytest.mark.slow
@deepspeed
def test_zero3_is_one_process(inputs: dict[str, Path], recipe: Any, alone: Any, tmp_path: Path, free_port: int) -> None:
    made = recipe(sharding="zero3")
    assert group.codes(group.start(2, free_port, made, inputs, tmp_path)) == [0, 0]
    assert_same_run(alone(made), tmp_path)


@pytest.mark.slow
@deepspeed
def test_lora_under_zero3_is_merged_whole(inputs: dict[str, Path], recipe: Any, tmp_path: Path, free_port: int) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    made = recipe(
        sharding="zero3", method="lora", lora={"rank": 4}, learning_rate=1e-2, packing=True, template="chatml"
    )
    assert group.codes(group.start(2, free_port, made, inputs, tmp_path)) == [0, 0]
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    base = AutoModelForCausalLM.from_pretrained(inputs["student"] / "model")
    ids = torch.arange(20)[None]
    with torch.no_grad():
        plain = base(ids).logits.clone()
        adapted = PeftModel.from_pretrained(base, tmp_path / "adapter")(ids).logits
        torch.testing.assert_close(merged(ids).logits, adapted, atol=1e-5, rtol=1e-4)
    assert (adapted - plain).abs().max() > 0.1, "the adapter does nothing"
