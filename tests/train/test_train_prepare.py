"""The tokens as a step of their own: no weights needed, the same model from them, and none from tokens made of something else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gra.chain.stage import load_stage
from gra.chain.store.fingerprint import fingerprint, identity
from gra.errors import ConfigError, TrainError
from gra.fileio import read_json, sha256_file
from gra.train import prepare, stage
from gra.train.data import tokenised


def test_training_from_prepared_tokens_is_the_same_training(
    student_folder: Path, data_folder: Path, config: Any, tmp_path: Path
) -> None:
    recipe = config(max_steps=2, packing=True, limit=30, held_out=5)
    bare = tmp_path / "bare"  # without weights: none are loaded
    shutil.copytree(student_folder, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    folders = {name: tmp_path / name for name in ("prepared", "with", "without")}
    for folder in folders.values():
        folder.mkdir()
    metrics = prepare.run(recipe, {"data": data_folder, "student": bare}, folders["prepared"])
    assert (metrics["samples"], metrics["held_out"], metrics["rows"]) == (30, 5, 40)
    inputs = {"data": data_folder, "student": student_folder}
    own = stage.run(recipe, inputs, folders["without"])
    before = sha256_file(folders["prepared"])
    assert stage.run(recipe, {**inputs, "tokens": folders["prepared"]}, folders["with"]) == own
    assert sha256_file(folders["with"] / "model") == sha256_file(folders["without"] / "model")
    assert sha256_file(folders["prepared"]) == before
    assert not (folders["without"] / "tokens").exists()
    assert read_json(folders["with"] / "metrics.json")["data"] == read_json(
        folders["prepared"] / "tokens" / tokenised.ACCOUNT
    )


def test_tokens_of_something_else_are_refused(
    student_folder: Path, data_folder: Path, config: Any, tmp_path: Path
) -> None:
    inputs = {"data": data_folder, "student": student_folder}
    output, prepared = tmp_path / "out", tmp_path / "prepared"
    output.mkdir()
    prepared.mkdir()
    assert [p.key for p in stage.check(config(), {**inputs, "tokens": prepared})] == ["inputs.tokens"]
    prepare.run(config(limit=20), inputs, prepared)
    given = {**inputs, "tokens": prepared}
    assert stage.check(config(limit=20, learning_rate=1.0, epochs=3), given) == []
    (problem,) = stage.check(config(limit=20, cutoff_length=64, packing=True) | {"seed": 3}, given)
    assert problem.key == "inputs.tokens"
    for difference in ("cutoff_length: 96 there, 64 here", "packing: false there, true here", "seed: 0 there, 3 here"):
        assert difference in problem.message
    with pytest.raises(ConfigError):
        stage.run(config(limit=21), given, output)
    shutil.copytree(data_folder, tmp_path / "other")
    other = tmp_path / "other"
    import pyarrow.parquet as pq

    path = other / "data" / "train.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(TrainError, match=r"does not match this run: data: "):
        stage.run(config(limit=20), {**given, "data": other}, output)
    tokenizer = tmp_path / "student" / "model" / "tokenizer.json"
    shutil.copytree(student_folder, tmp_path / "student")
    tokenizer.write_text(tokenizer.read_text().replace('"<|im_start|>"', '"<|in_start|>"'))
    with pytest.raises(TrainError, match=r"does not match this run: tokenizer: "):
        stage.run(config(limit=20), {**given, "student": tmp_path / "student"}, output)


def test_the_stage_as_the_chain_sees_it(config: Any, data_folder: Path) -> None:
    """What does not change the tokens is not hashed; what needs a GPU is not asked for."""
    made = load_stage("gra.train.prepare.run")

    def mark(config_: dict[str, Any]) -> str:
        return fingerprint(identity(made.name, made.version, config_, {}, {}, made.not_hashed))

    same = config(learning_rate=1.0, epochs=9, name="other", method="lora", lora={"rank": 4}, save_steps=3)
    same["student"] = {"name": "other"}
    same["runtime"]["per_device_batch"] = 3
    assert mark(same) == mark(config())
    others = [
        config(**{key: value})
        for key, value in (("limit", 3), ("template", "qwen"), ("cutoff_length", 64), ("held_out", 2))
    ]
    assert len({mark(other) for other in [*others, config(), config() | {"seed": 1}]}) == 6
    inputs = {"data": data_folder, "student": None}
    assert made.check(config(method="qlora", precision="bf16", global_batch=7), inputs) == []
    found = made.check(config(method="qlora", template="vicuna", mix={"data": 1, "data_b": 1}, learning_rat=3), inputs)
    assert {problem.key for problem in found} == {"sft.template", "sft.learning_rat"}
    found = made.check(config(mix={"data_b": 1}), {"student": None})
    assert {problem.key for problem in found} == {"inputs.data", "sft.mix.data_b"}


def test_simulated_data_label_the_tokens(student_folder: Path, data_folder: Path, config: Any, tmp_path: Path) -> None:
    (data_folder / "SIMULATED").write_text("simulated committee\n")
    output = tmp_path / "out"
    output.mkdir()
    prepare.run(config(), {"data": data_folder, "student": student_folder}, output)
    assert (output / "SIMULATED").read_text() == "simulated committee\n"


@pytest.mark.slow
def test_the_commands(student_folder: Path, data_folder: Path, tmp_path: Path) -> None:
    """gra prepare, and what gra train says to its tokens under another recipe."""
    shared = [
        f"data={data_folder}",
        f"+inputs.data_b={data_folder}",
        f"student_folder={student_folder}",
        "student=tiny",
        "sft=cpu_tiny",
        "sft.mix={data: 0.75, data_b: 0.25}",
        "sft.limit=20",
        "sft.cutoff_length=96",
        "tracking=none",
        "runtime.threads=1",
    ]

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)

    done = run("gra.cli", "prepare", *shared, f"output={tmp_path / 'prepared'}")
    assert done.returncode == 0, done.stderr
    assert read_json(tmp_path / "prepared" / "manifest.json")["metrics"]["samples"] == 20
    account = read_json(tmp_path / "prepared" / "tokens" / tokenised.ACCOUNT)
    assert {name: folder["samples"] for name, folder in account["folders"].items()} == {"data": 15, "data_b": 5}
    done = run("train", *shared, "sft.packing=true", f"tokens={tmp_path / 'prepared'}", f"output={tmp_path / 'model'}")
    assert done.returncode == 2
    assert "1 problem" in done.stderr
    assert "packing: false there, true here" in done.stderr
