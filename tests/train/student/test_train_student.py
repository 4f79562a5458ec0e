"""The student made from scratch: the same bytes each time, and a model folder like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gra.errors import TrainError
from gra.fileio import sha256_file
from gra.train import student_stage

BUILD: dict[str, Any] = {
    "vocab_size": 400,
    "hidden_size": 64,
    "layers": 2,
    "heads": 2,
    "intermediate_size": 128,
    "positions": 128,
}


def test_same_config_same_bytes(corpus: Path, student_folder: Path, tmp_path: Path) -> None:
    import torch

    torch.rand(3)  # the global random state must not matter, nor a killed run's leavings
    (tmp_path / "model.work").mkdir()
    metrics = student_stage.run({"seed": 0, "student": {"name": "tiny", "build": BUILD}}, {"corpus": corpus}, tmp_path)
    assert sha256_file(tmp_path / "model") == sha256_file(student_folder / "model")
    assert 50_000 < metrics["parameters"] < 200_000
    other = tmp_path / "other"
    other.mkdir()
    student_stage.run({"seed": 1, "student": {"name": "tiny", "build": BUILD}}, {"corpus": corpus}, other)
    assert sha256_file(other / "model" / "model.safetensors") != sha256_file(
        student_folder / "model" / "model.safetensors"
    )
    assert sha256_file(other / "model" / "tokenizer.json") == sha256_file(student_folder / "model" / "tokenizer.json")


def test_loads_and_generates_as_any_model(student_folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(student_folder / "model")
    model = AutoModelForCausalLM.from_pretrained(student_folder / "model")
    for text in ("What follows 12?", " a\n\tb  c ", "naïve 你好 🙂"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.convert_ids_to_tokens(tokenizer("12")["input_ids"]) == ["1", "2"]
    assert len(tokenizer("Human:\nAssistant:")["input_ids"]) <= 5  # the templates' words are not spelled out
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], add_generation_prompt=True, return_tensors="pt"
    )
    assert tokenizer.decode(prompt["input_ids"][0]) == "Human: Hi<|endoftext|>\nAssistant:"
    assert model.generate(**{k: prompt[k] for k in ("input_ids", "attention_mask")}, max_new_tokens=3).shape[1] > 0
    assert model.config.vocab_size == len(tokenizer)


def test_a_given_model_is_taken_over(student_folder: Path, tmp_path: Path) -> None:
    config = {"seed": 0, "student": {"model": str(student_folder / "model"), "build": BUILD}}
    assert student_stage.check(config, {}) == []
    student_stage.run(config, {}, tmp_path)
    assert sha256_file(tmp_path / "model") == sha256_file(student_folder / "model")


def test_simulated_text_labels_the_student(corpus: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "world", tmp_path / "student"
    source.mkdir()
    output.mkdir()
    (source / "corpus.txt").write_bytes((corpus / "corpus.txt").read_bytes())
    (source / "SIMULATED").write_text("a made-up world\n")
    student_stage.run({"seed": 0, "student": {"build": BUILD}}, {"corpus": source}, output)
    assert (output / "SIMULATED").read_text() == "a made-up world\n"
    copy = tmp_path / "copy"
    copy.mkdir()
    student_stage.run({"seed": 0, "student": {"model": str(output / "model")}}, {}, copy)
    assert (copy / "SIMULATED").is_file()
    (source / "corpus.txt").write_text("")
    with pytest.raises(TrainError, match="empty"):
        student_stage.run({"seed": 0, "student": {"build": BUILD}}, {"corpus": source}, output)
