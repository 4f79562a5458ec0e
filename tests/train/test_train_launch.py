"""What is decided before several processes are started, and what their ends amount to."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gra.chain.store.fingerprint import fingerprint, identity
from gra.errors import ConfigError, GraError, Interrupted, Preempted, TrainError
from gra.fileio import read_json, write_json
from gra.train import launch, stage
from gra.train.data import order
from gra.train.distributed import zero
from gra.train.distributed.hardware import Gpu, Machine
from gra.train.settings import RuntimeSettings, SftSettings

SLURM = {
    "SLURM_JOB_ID": "41234",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_NODEID": "1",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
}
TORCHRUN = RuntimeSettings(launch="torchrun", nproc=8)
EIGHT = Machine(gpus=(Gpu("H100"),) * 8, packages=frozenset({"deepspeed"}))
FOUR = Machine(gpus=(Gpu("H100"),) * 4)


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("hosts", "first"),
    [
        ("n1", "n1"),
        ("n1,n2", "n1"),
        ("n[01-04,7],m2", "n01"),
        ("n[3,5-9]", "n3"),
        ("rack2-n[10-11].site", "rack2-n10.site"),
    ],
)
def test_first_host(hosts: str, first: str) -> None:
    assert launch.first_host(hosts) == first


def test_nodes_are_those_of_the_step_that_srun_started() -> None:
    assert launch.nodes({}) == launch.Nodes()
    assert launch.nodes({"SLURM_JOB_NUM_NODES": "2", "SLURM_NODEID": "0"}) == launch.Nodes(), (
        "a batch script is one process"
    )
    found = launch.nodes(SLURM)
    assert (found.count, found.rank, found.address, found.port) == (2, 1, "gpu07", 10_000 + 41234 % 20_000)
    assert launch.nodes({**SLURM, "MASTER_ADDR": "h", "MASTER_PORT": "1"}) == launch.Nodes(2, 1, "h", 1)


@pytest.mark.usefixtures("slurm")
def test_how_many_train_together(monkeypatch: pytest.MonkeyPatch) -> None:
    assert launch.processes(TORCHRUN, EIGHT) == 16
    assert launch.processes(RuntimeSettings(launch="torchrun"), FOUR) == 8
    assert launch.processes(RuntimeSettings(), EIGHT) == 1
    assert launch.follower(TORCHRUN)
    assert stage.follower({"runtime": {"launch": "torchrun"}})
    assert not launch.follower(RuntimeSettings())
    monkeypatch.setenv("RANK", "0")  # one of the group: it starts none, and is told how many there are
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert launch.processes(TORCHRUN, EIGHT) == 3
    assert not launch.wanted(TORCHRUN)
    assert not launch.follower(TORCHRUN)


def told(problems: list[Any]) -> dict[str, str]:
    return {problem.key: f"{problem.message} {problem.remedy}" for problem in problems}


@pytest.mark.usefixtures("slurm")
def test_faults_of_a_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert launch.problems(TORCHRUN, EIGHT) == []
    assert "nproc=4" in told(launch.problems(TORCHRUN, FOUR))["runtime.nproc"]
    assert launch.problems(TORCHRUN, Machine()) == []  # on CPUs, as many as one likes
    assert (
        "this node has no GPU" in told(launch.problems(RuntimeSettings(launch="torchrun"), Machine()))["runtime.nproc"]
    )
    assert "starts no processes" in told(launch.problems(RuntimeSettings(nproc=2), EIGHT))["runtime.nproc"]
    monkeypatch.setenv("SLURM_STEP_TASKS_PER_NODE", "8(x2)")
    assert "--ntasks-per-node=1" in told(launch.problems(TORCHRUN, EIGHT))["runtime.launch"]


def test_faults_of_sharding() -> None:
    recipe = {"learning_rate": 1, "global_batch": 8, "cutoff_length": 8}
    sft = SftSettings(sharding="zero3", save_dtype="float32", optimizer="adamw_8bit", **recipe)
    assert zero.problems(sft, Machine(), 1) == [], "one process has nothing to divide"
    assert set(told(zero.problems(sft, FOUR, 2))) == {"sft.sharding", "sft.save_dtype", "sft.optimizer"}
    assert "gra[deepspeed]" in told(zero.problems(sft, FOUR, 2))["sft.sharding"]
    assert zero.problems(SftSettings(sharding="zero2", **recipe), EIGHT, 8) == []


def test_how_a_run_is_divided_is_no_part_of_its_fingerprint(config: Any) -> None:
    marks = set()
    for sharding_, runtime in ((None, {}), ("zero2", {"launch": "torchrun", "nproc": 8})):
        made = config(sharding=sharding_)
        made["runtime"] |= runtime
        marks.add(fingerprint(identity(stage.NAME, stage.VERSION, made, {}, {}, stage.NOT_HASHED)))
    assert len(marks) == 1


def test_the_check_counts_the_processes_to_be_started(config: Any) -> None:
    made = config(global_batch=30)
    made["runtime"] |= {"launch": "torchrun", "nproc": 4}
    assert "28 or 32" in told(stage.check(made, {"data": None, "student": None}))["sft.global_batch"]


@pytest.mark.parametrize(("kind", "level"), [("zero2", 2), ("zero3", 3)])
def test_deepspeed_configurations_leave_the_recipe_its_say(kind: str, level: int) -> None:
    found = read_json(zero.path_of(kind))
    assert found["zero_optimization"]["stage"] == level
    for key in (
        "train_batch_size",
        "train_micro_batch_size_per_gpu",
        "gradient_accumulation_steps",
        "gradient_clipping",
    ):
        assert found[key] == "auto"
    assert found["bf16"] == {"enabled": "auto"}
    assert found["data_types"]["grad_accum_dtype"] == "fp32"
    assert not {"optimizer", "scheduler"} & set(found)


def end(folder: Path, rank: int, code: int, message: str) -> None:
    write_json(folder / f"{launch.ENDS}{rank:05}.json", {"rank": rank, "code": code, "message": message})


@pytest.mark.parametrize(
    ("ends", "crash", "heard", "expected", "words"),
    [
        ({}, None, [], TrainError, "exit code 1"),
        ({}, "process 1 was killed by SIGKILL", [], TrainError, "killed by SIGKILL"),
        ({1: (1, "bad data"), 0: (85, "stopped")}, None, [], TrainError, "bad data"),
        ({0: (2, "a key")}, None, [], ConfigError, "a key"),
        ({0: (85, "after step 3"), 1: (85, "")}, None, [], Preempted, "after step 3"),
        ({0: (85, "stopped")}, "process 1 was killed by SIGKILL", [], TrainError, "killed by SIGKILL"),
        ({0: (130, "after step 3")}, None, [signal.SIGINT], Interrupted, "after step 3"),
        ({}, "process 0 was killed by SIGTERM", [signal.SIGTERM], Preempted, "SIGTERM"),
        ({}, None, [signal.SIGINT], Interrupted, "SIGINT"),
    ],
)
def test_what_the_ends_amount_to(
    ends: dict[int, tuple[int, str]],
    crash: str | None,
    heard: list[int],
    expected: type[GraError],
    words: str,
    tmp_path: Path,
) -> None:
    for rank, (code, message) in ends.items():
        end(tmp_path, rank, code, message)
    if crash:
        (tmp_path / launch.CRASH).write_text(crash)
    with pytest.raises(expected, match=words) as raised:
        launch.raise_ending(tmp_path, 1, heard)
    assert type(raised.value) is expected
    launch.raise_ending(tmp_path, 0, heard)  # it ended well: the signal came after the last step


@pytest.mark.parametrize(("samples", "world", "per_device"), [(41, 2, 2), (8, 4, 2), (3, 8, 4)])
def test_every_sample_is_fed_once_an_epoch_to_any_number_of_processes(
    samples: int, world: int, per_device: int
) -> None:
    multiple = world * per_device
    rows = list(order.sampler(samples, 7, multiple, lambda: 3))
    assert rows == order.order(samples, 10, multiple)
    assert len(rows) % multiple == 0
    assert rows[:samples] == order.order(samples, 10, 1), "the order depends on the number of processes"
    assert Counter(rows) == Counter(range(samples)) + Counter({samples: -samples % multiple})
    assert order.order(64, 0, 1) != order.order(64, 1, 1)
