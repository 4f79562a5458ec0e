"""Faults of a config are found before anything is loaded, all at once, with what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gra.chain.store.fingerprint import fingerprint, identity
from gra.errors import ConfigError
from gra.train import stage, student_stage


def keys(problems: list[Any]) -> set[str]:
    return {problem.key for problem in problems}


def test_a_good_config_has_no_problem(config: Any, data_folder: Path, student_folder: Path) -> None:
    assert stage.check(config(), {"data": data_folder, "student": student_folder}) == []
    assert stage.check(config(method="lora", lora={"rank": 4}), {"data": None, "student": None}) == []


def test_many_faults_at_once(config: Any, student_folder: Path, tmp_path: Path) -> None:
    faulty = config(cutoff_length=4096, lora={"rank": 4}, save_steps=7, log_steps=5, global_batch=30)
    faulty["runtime"]["per_device_batch"] = 8
    problems = stage.check(faulty, {"data": tmp_path, "student": student_folder})
    assert keys(problems) == {"inputs.data", "sft.cutoff_length", "sft.lora", "sft.save_steps", "sft.global_batch"}
    told = {problem.key: f"{problem.message} {problem.remedy}" for problem in problems}
    assert "24 or 32" in told["sft.global_batch"]
    assert "per_device_batch=6 or 10" in told["sft.global_batch"]
    assert "128 positions" in told["sft.cutoff_length"]
    with pytest.raises(ConfigError, match="5 problems"):
        stage.run(faulty, {"data": tmp_path, "student": student_folder}, tmp_path)


def test_faults_of_several_sections_and_unknown_keys(config: Any) -> None:
    faulty = config(learning_rat=1, template="vicuna", schedule="cosine")
    faulty["student"] = {"model": "./nowhere"}
    faulty["runtime"]["tracking"]["mode"] = "sometimes"
    faulty["sed"] = 1
    problems = stage.check(faulty, {})
    expected = {"sft.learning_rat", "sft.template", "student.model", "runtime.tracking.mode", "sed", "inputs.data"}
    assert keys(problems) == expected
    assert next(p for p in problems if p.key == "sft.learning_rat").remedy == "did you mean `learning_rate`?"


def test_options_in_conflict(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    flash = config()
    flash["student"] = {"model": "owner/name", "attention": "flash_attention_2", "dtype": "bfloat16"}
    messages = " ".join(p.message for p in stage.check(flash, {"data": None}))
    assert "not installed" in messages
    assert "half precision" in messages
    assert "bfloat16 weights" in messages
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert keys(stage.check(config(global_batch=8), {"data": None, "student": None})) == {"sft.global_batch"}
    assert keys(stage.check(config(), {"data": None})) == {"student.model", "sft.global_batch"}


def test_a_folder_counts_by_its_content(config: Any, student_folder: Path) -> None:
    config_ = config() | {"student": {"model": str(student_folder / "model")}}
    assert stage.external_files(config_) == {"student.model": student_folder / "model"}
    assert stage.external_files(config()) == {}


def test_student_stage_check(tmp_path: Path) -> None:
    build = {"hidden_size": 100, "heads": 3, "kv_heads": 2}
    problems = student_stage.check({"seed": 0, "student": {"build": build}}, {"corpus": tmp_path})
    assert keys(problems) == {"student.build.hidden_size", "student.build.kv_heads", "inputs.corpus"}
    assert keys(student_stage.check({"seed": 0, "student": {}}, {})) == {"student.build"}
    assert keys(student_stage.check({"seed": -1, "student": {"model": 3}}, {})) == {"seed", "student.model"}


def test_checking_is_light() -> None:
    heavy = ("torch", "transformers", "trl", "pyarrow", "numpy")
    code = f"import sys, train.stage, train.student; print([m for m in {heavy} if m in sys.modules])"
    assert json.loads(subprocess.check_output([sys.executable, "-c", code], text=True)) == []


def test_names_and_the_places_of_checkpoints_are_not_hashed(config: Any) -> None:
    def mark(made: dict[str, Any]) -> str:
        return fingerprint(identity("train", 1, made, {}, {}, stage.NOT_HASHED))

    renamed = config(name="other", save_steps=3)
    renamed["student"]["name"] = "other"
    assert mark(renamed) == mark(config())
    assert mark(config(log_steps=5)) != mark(config())  # it decides what log.csv and final_loss say
