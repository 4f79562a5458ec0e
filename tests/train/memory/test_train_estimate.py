"""How many sequences a forward pass holds where the recipe leaves it open: the arithmetic, and what a run makes of it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gra.fileio import read_json, sha256_file
from gra.train import stage
from gra.train.loop import checkpoints, sft
from gra.train.memory import estimate, fitting, free_memory
from gra.train.settings import TrainSettings
from gra.train.student import kernels

GIB = 2**30
SMOLLM = estimate.Shape(134_515_008, 28_311_552, 49_152, 576, 1536, 30, 576, 9)
LORA = estimate.Plan(4_884_480, 512, method="lora", frozen=2, half=True, embeddings_trained=False)
shapes = st.builds(
    estimate.Shape,
    weights=st.integers(10_000, 10**10),
    embeddings=st.integers(1000, 10**9),
    vocabulary=st.integers(300, 300_000),
    hidden=st.integers(16, 8192),
    intermediate=st.integers(16, 30_000),
    layers=st.integers(1, 80),
    queries=st.integers(16, 8192),
    heads=st.integers(1, 64),
    linear=st.integers(0, 10_000),
)
plans = st.builds(
    estimate.Plan,
    trained=st.integers(100, 10**10),
    length=st.integers(8, 32_768),
    method=st.sampled_from(["full", "lora", "qlora"]),
    frozen=st.sampled_from([2, 4]),
    half=st.booleans(),
    optimizer=st.sampled_from([*estimate.STATE, "another"]),
    embeddings_trained=st.booleans(),
    checkpointing=st.booleans(),
    packing=st.booleans(),
    dense=st.booleans(),
    eager=st.booleans(),
    gpu=st.booleans(),
    processes=st.integers(1, 64),
    sharding=st.sampled_from([None, "zero2", "zero3"]),
)


@settings(max_examples=150, deadline=None)
@given(shapes, plans, st.floats(0, 1e12), st.floats(0, 1e12), st.integers(1, 512), st.integers(1, 64))
def test_rows(shape: estimate.Shape, plan: estimate.Plan, free: float, more: float, share: int, most: int) -> None:
    """A power of two that divides a process's share, fits, is the largest that does, and grows with memory alone."""
    found = estimate.rows(shape, plan, free, share, most)
    assert found >= 1
    assert found & (found - 1) == 0
    assert share % found == 0
    assert found <= most
    assert found == 1 or estimate.peak(shape, plan, found).total <= 0.8 * free
    larger = estimate.rows(shape, plan, free + more, share, most)
    assert larger >= found
    if share % (2 * found) == 0 and 2 * found <= most:
        assert estimate.peak(shape, plan, 2 * found).total > 0.8 * free
    assert estimate.rows(shape, replace(plan, length=plan.length + 64), free, share, most) <= found


@settings(max_examples=50, deadline=None)
@given(shapes, plans, st.integers(1, 6))
def test_parts(shape: estimate.Shape, plan: estimate.Plan, doublings: int) -> None:
    """More sequences take more, recomputing activations never does; weights and their state do not depend on either."""
    one, many = (estimate.peak(shape, plan, rows) for rows in (1, 2**doublings))
    assert many.activations > one.activations
    assert many.loss >= one.loss
    assert (many.weights, many.gradients, many.optimizer) == (one.weights, one.gradients, one.optimizer)
    assert all(part >= 0 for part in vars(one).values())
    again = [estimate.peak(shape, replace(plan, checkpointing=on), 4).activations for on in (True, False)]
    assert again[0] <= again[1] + 4 * plan.length * shape.layers * shape.hidden * 4.4


def test_the_run_that_was_killed() -> None:
    """135 M parameters, LoRA, 512 tokens: 32 sequences a pass took 22 GB without recomputed activations."""
    assert 11 * GIB < estimate.peak(SMOLLM, LORA, 32).total < 44 * GIB
    assert estimate.rows(SMOLLM, LORA, 8 * GIB, 64, 32) < 16
    assert estimate.rows(SMOLLM, LORA, 80 * GIB, 64, 32) == 32


@pytest.mark.parametrize("recipe", [{}, {"method": "lora"}, {"packing": True}, {"precision": "bf16"}])
def test_a_student_in_numbers(recipe: dict[str, Any], student_folder: Path, config: Any) -> None:
    given = TrainSettings.model_validate(config(**recipe))
    shape, plan = fitting.describe(given, str(student_folder / "model"), 60, gpu=False)
    words = read_json(student_folder / "model" / "config.json")["vocab_size"]
    weights = words * 64 + 2 * (4 * 64 * 64 + 3 * 64 * 128 + 2 * 64) + 64
    assert (shape.weights, shape.vocabulary, shape.hidden, shape.layers, shape.queries) == (weights, words, 64, 2, 64)
    lora = 2 * 16 * (4 * 128 + 3 * (64 + 128))
    assert plan.trained == (lora if recipe.get("method") else weights)
    assert plan.half == (recipe.get("precision") == "bf16")


def test_a_run_says_what_it_chose_and_goes_on_with_it(
    student_folder: Path, data_folder: Path, config: Any, tmp_path: Path, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With memory for 4 sequences a run is stopped, goes on with memory for 1, and ends with the unbroken run's bytes."""
    inputs = {"data": data_folder, "student": student_folder}
    caplog.set_level(logging.INFO)
    recipe = config(epochs=2, save_steps=3)
    longest = 96
    shape, plan = fitting.describe(
        TrainSettings.model_validate(recipe), str(student_folder / "model"), longest, gpu=False
    )
    enough = estimate.peak(shape, plan, 4).total / 0.8
    assert estimate.rows(shape, plan, enough, 8, 32) == 4
    folders = {name: tmp_path / name for name in ("unbroken", "broken", "afresh")}
    for folder in folders.values():
        folder.mkdir()
    monkeypatch.setattr(fitting, "_longest", lambda *_: longest)
    monkeypatch.setattr(free_memory, "cpu", lambda: enough)
    stage.run(recipe, inputs, folders["unbroken"])
    lines = [record.getMessage() for record in caplog.records if "estimated peak" in record.getMessage()]
    assert len(lines) == 1
    assert lines[0].startswith("sequences per forward pass: 4 of up to 96 tokens")
    assert read_json(folders["unbroken"] / "metrics.json")["runtime"]["per_device_batch"] == 4

    class Stopped(Exception):
        pass

    def stop_after(*_: Any, **__: Any) -> None:
        raise Stopped

    with monkeypatch.context() as patch:
        mark = checkpoints.mark
        patch.setattr(checkpoints, "mark", lambda folder, **facts: (mark(folder, **facts), stop_after()))
        with pytest.raises(Stopped):
            stage.run(recipe, inputs, folders["broken"])
    left = checkpoints.newest(folders["broken"] / "checkpoints")
    assert left is not None
    assert (checkpoints.facts(left) or {})["per_device_batch"] == 4
    monkeypatch.setattr(free_memory, "cpu", lambda: 0)
    stage.run(recipe, inputs, folders["broken"])
    for file in ("model", "log.csv"):
        assert sha256_file(folders["broken"] / file) == sha256_file(folders["unbroken"] / file)
    (output := folders["afresh"] / "x").mkdir()
    trainer, _, _ = sft.build_trainer(TrainSettings.model_validate(recipe), inputs, output)
    assert trainer.args.per_device_train_batch_size == 1
    assert trainer.args.gradient_accumulation_steps == 8


def test_the_logits_of_a_pass_never_exist_at_once(
    student_folder: Path, data_folder: Path, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss is made in pieces of positions, as the estimate has it: no tensor has all positions of a pass by the vocabulary."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from trl.kernels import chunked_logprob

    words, piece, most = read_json(student_folder / "model" / "config.json")["vocab_size"], 32, 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal most
            made = function(*args, **(kwargs or {}))
            for tensor in made if isinstance(made, tuple | list) else (made,):
                if isinstance(tensor, torch.Tensor) and tensor.ndim and tensor.shape[-1] == words:
                    most = max(most, tensor.numel() // words)
            return made

    monkeypatch.setattr(chunked_logprob, "TOKEN_CHUNK_SIZE", piece)
    given = TrainSettings.model_validate(config(max_steps=1) | {"runtime": {"per_device_batch": 8, "threads": 1}})
    trainer, _, _ = sft.build_trainer(given, {"data": data_folder, "student": student_folder}, tmp_path)
    with Watch():
        trainer.train()
    assert 0 < most <= max(piece, 64)  # 64: the weights of the head, by the width of the model


def test_a_key_goes_before_the_estimate(config: Any) -> None:
    given = TrainSettings.model_validate(config() | {"runtime": {"per_device_batch": 2}})
    nothing: Any = None
    assert fitting.rows(given, "nowhere", nothing, {fitting.FACT: 4}) == 2
    assert fitting.rows(TrainSettings.model_validate(config()), "nowhere", nothing, {fitting.FACT: 4}) == 4
    assert kernels.MOST_ROWS & (kernels.MOST_ROWS - 1) == 0


@pytest.mark.parametrize("version", [1, 2])
def test_memory_is_what_the_jobs_limit_leaves(version: int, tmp_path: Path) -> None:
    own, groups = tmp_path / "cgroup", tmp_path / "fs"
    root = groups / "memory" if version == 1 else groups
    limit, used = (
        ("memory.limit_in_bytes", "memory.usage_in_bytes") if version == 1 else ("memory.max", "memory.current")
    )
    own.write_text("4:cpu,cpuacct:/\n3:memory:/slurm/job/step\n0::/\n" if version == 1 else "0::/slurm/job/step\n")
    inner = root / "slurm" / "job" / "step"
    inner.mkdir(parents=True)
    without = free_memory.cpu(groups, own)
    (inner / limit).write_text("9223372036854771712\n" if version == 1 else "max\n")
    assert free_memory.cpu(groups, own) > without / 2 > 300_000
    (inner.parent / limit).write_text("300000\n")
    (inner.parent / used).write_text("200000\n")
    (inner.parent / "memory.stat").write_text("cache 70000\ninactive_file 50000\n")
    assert free_memory.cpu(groups, own) == 150_000
    (inner / limit).write_text("100\n")
    (inner / used).write_text("900\n")
    assert free_memory.cpu(groups, own) == 0


def test_processes_reach_the_same_number_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not from what is free, which each would see otherwise, but from the whole, divided among those on this machine."""
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    (tmp_path / "memory.max").write_text("3000\n")
    (tmp_path / "memory.current").write_text("2900\n")
    (tmp_path / "cgroup").write_text("0::/\n")
    assert free_memory.cpu(tmp_path, tmp_path / "cgroup") == 1500
