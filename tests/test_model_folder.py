"""Folders that are named as a model and hold none: evaluation, training and the student's stage say which folder was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import gra.eval.stage
import gra.train.stage
from gra import model_folder
from gra.train import student_stage

SFT = {"learning_rate": 1e-3, "global_batch": 8, "cutoff_length": 64}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """What a LoRA run leaves: the adapter, and the merged model."""
    for name, file in (("model", "config.json"), ("adapter", "adapter_config.json")):
        (tmp_path / "run" / name).mkdir(parents=True)
        (tmp_path / "run" / name / file).write_text("{}")
    (tmp_path / "run" / "model" / "chat_template.jinja").write_text("")
    return tmp_path / "run"


def told(path: str) -> list[tuple[str, str]]:
    """Key and words of the fault that each of the three stages finds in a model named as `path`."""
    suite = {"name": "s", "tasks": ["gsm8k"]}
    found = [
        *gra.eval.stage.check({"seed": 0, "suite": suite, "model": {"path": path}}, {}),
        *gra.train.stage.check({"seed": 0, "sft": SFT, "student": {"model": path}}, {"data": None}),
        *student_stage.check({"seed": 0, "student": {"model": path}}, {}),
    ]
    return [(problem.key, f"{problem.message} -> {problem.remedy}") for problem in found]


@pytest.mark.parametrize("name", ["", "adapter"])
def test_the_model_beside_is_named(name: str, made: Path) -> None:
    found = told(str(made / name))
    assert [key for key, _ in found] == ["model.path", "student.model", "student.model"]
    assert all("use " in words and words.split("use ")[1].split(":")[0].endswith("/model") for _, words in found), found
    assert all("only a LoRA adapter" in words or "stage's output" in words for _, words in found)


def test_the_model_itself_is_taken(made: Path) -> None:
    assert told(str(made / "model")) == []


def test_without_a_model_beside_it_says_what_to_do(made: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    (made / "adapter").rename(alone)
    assert all("merge_and_unload" in words for _, words in told(str(alone)))
    (tmp_path / "empty").mkdir()
    assert all("not a model folder" in words for _, words in told(str(tmp_path / "empty")))
    (tmp_path / "model.gguf").write_text("")
    assert all("is a file" in words for _, words in told(str(tmp_path / "model.gguf")))


@pytest.mark.parametrize("name", ["model", "adapter"])
def test_an_input_is_the_folder_above(name: str, made: Path, tmp_path: Path) -> None:
    config: Any = {"seed": 0, "suite": {"name": "s", "tasks": ["gsm8k"]}}
    (fault,) = gra.eval.stage.check(config, {"model": made / name})
    assert (fault.key, fault.remedy.split(":")[0]) == ("inputs.model", f"use {made}")
    (fault,) = gra.train.stage.check({"seed": 0, "sft": SFT, "student": {}}, {"data": None, "student": made / name})
    assert (fault.key, fault.remedy.split(":")[0]) == ("inputs.student", f"use {made}")
    assert model_folder.stage_fault(tmp_path)[0].startswith("not a model folder")
