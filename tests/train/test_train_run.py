"""The stage end to end on a tiny model: what it writes loads anywhere, and tracking can fail without harm."""

from __future__ import annotations

import csv
import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from gra.errors import TrainError
from gra.fileio import read_json, sha256_file
from gra.train import stage

Inputs = dict[str, Path]


@pytest.fixture
def inputs(data_folder: Path, student_folder: Path) -> Inputs:
    return {"data": data_folder, "student": student_folder}


def told_to_stop(model: Any, prompt: list[int], end: int, after: int) -> list[int]:
    """What `model.generate`, with all settings from its folder, gives where the model writes `end` as its token number `after`."""
    import torch
    from transformers import LogitsProcessorList

    def force(ids: Any, scores: Any) -> Any:
        if ids.shape[1] == len(prompt) + after - 1:
            scores = torch.full_like(scores, -1e9)
            scores[:, end] = 0
        elif ids.shape[1] < len(prompt) + after:
            scores[:, end] = -1e9
        return scores

    given = torch.tensor([prompt])
    return model.generate(given, max_new_tokens=20, logits_processor=LogitsProcessorList([force]))[0].tolist()


def load(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("packing", [False, True])
def test_full_run(packing: bool, inputs: Inputs, config: Any, tmp_path: Path) -> None:
    (inputs["data"] / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n# data\n")
    (inputs["data"] / "SIMULATED").write_text("simulated committee\n")
    metrics = stage.run(config(epochs=8, packing=packing, template="chatml", name="short"), inputs, tmp_path)
    assert all(math.isfinite(value) for value in metrics.values())
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    losses = [float(row["loss"]) for row in rows]
    assert len(losses) == metrics["steps"]
    assert losses[-1] < losses[0] - 0.5
    assert metrics["train_loss"] == pytest.approx(sum(losses) / len(losses))
    assert float(rows[-1]["tokens"]) == metrics["tokens"]
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    account = read_json(tmp_path / "metrics.json")
    assert account["data"]["samples"] == 40 == metrics["samples"]
    assert account["runtime"]["tokens_per_second"] > 0
    assert sorted(p.name for p in tmp_path.iterdir() if p.name not in ("data_folder",)) == [
        "SIMULATED",
        "log.csv",
        "loss.png",
        "metrics.json",
        "model",
        "speed.csv",
    ]
    model, tokenizer = load(tmp_path / "model")
    assert tokenizer.eos_token == "<|im_end|>"
    assert "im_start" in tokenizer.chat_template
    assert (
        model.generation_config.eos_token_id == tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
    )
    question = [{"role": "user", "content": "What follows 3?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True)["input_ids"]
    assert len(told_to_stop(model, prompt, model.generation_config.eos_token_id, 3)) == len(prompt) + 3
    assert {p.name for p in (tmp_path / "model").iterdir()} == {
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    card = (tmp_path / "model" / "README.md").read_text()
    head = yaml.safe_load(card.split("---\n")[1])
    assert head == {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "license": "cc-by-nc-4.0",
        "tags": ["sft", "gra", "simulated"],
    }
    assert sha256_file(inputs["data"] / "data" / "train.parquet") in card
    assert f"transformers {version('transformers')}" in card
    assert yaml.safe_load(card.split("```")[1].removeprefix("yaml"))["sft"]["learning_rate"] == 3e-3
    assert "**Simulated:** simulated committee" in card
    assert "short" in card
    assert str(tmp_path) not in card
    assert not any("training_args" in p.name for p in (tmp_path / "model").rglob("*"))


def test_lora_adapter_and_merged_model_agree(inputs: Inputs, config: Any, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel

    metrics = stage.run(
        config(method="lora", epochs=4, learning_rate=1e-2, lora={"rank": 4, "alpha": 8}), inputs, tmp_path
    )
    assert metrics["trained_parameters"] < metrics["parameters"] / 4
    merged, tokenizer = load(tmp_path / "model")
    base, _ = load(inputs["student"] / "model")
    ids = tokenizer("What follows 3?", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        plain = base(ids).logits.clone()
        adapted = PeftModel.from_pretrained(base, tmp_path / "adapter")(ids).logits
        torch.testing.assert_close(merged(ids).logits, adapted, atol=1e-5, rtol=1e-4)
    assert (adapted - plain).abs().max() > 0.1, "the adapter does nothing"


def test_batch_per_device_changes_rounding_only(inputs: Inputs, config: Any, tmp_path: Path) -> None:
    losses = []
    for size in (8, 2):
        folder = tmp_path / str(size)
        folder.mkdir()
        recipe = config(epochs=2)
        recipe["runtime"]["per_device_batch"] = size
        losses.append(stage.run(recipe, inputs, folder)["final_loss"])
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_bf16_and_dft_run(inputs: Inputs, config: Any, tmp_path: Path) -> None:
    import torch

    stage.run(config(max_steps=3, precision="bf16", loss_type="dft", limit=10), inputs, tmp_path)
    model, _ = load(tmp_path / "model")
    assert model.dtype == torch.bfloat16
    assert read_json(tmp_path / "metrics.json")["samples"] == 10


def test_vocabulary_grows_for_a_template(inputs: Inputs, config: Any, tmp_path: Path) -> None:
    """A student that lacks chatml's tokens gets them, or is refused where they would stay untrained."""
    import json
    import shutil

    student = tmp_path / "student"
    shutil.copytree(inputs["student"], student)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        path = student / "model" / name
        path.write_text(json.dumps(json.loads(path.read_text())).replace("<|im_", "<|turn_"))
    given = {**inputs, "student": student}
    metrics = stage.run(config(max_steps=1, template="chatml"), given, tmp_path)
    assert metrics["parameters"] == 2 * 64 + sum(p.numel() for p in load(student / "model")[0].parameters())
    model, tokenizer = load(tmp_path / "model")
    assert model.get_input_embeddings().weight.shape[0] == len(tokenizer)
    (tmp_path / "refused").mkdir()
    with pytest.raises(TrainError, match="resize_vocab"):
        stage.run(config(max_steps=1, template="chatml", resize_vocab=False), given, tmp_path / "refused")


def test_diverged_and_unloadable_students_are_errors(inputs: Inputs, config: Any, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="learning_rate"):
        stage.run(config(epochs=20, learning_rate=1e30, max_grad_norm=0), inputs, tmp_path)
    (tmp_path / "broken" / "model").mkdir(parents=True)
    (tmp_path / "broken" / "model" / "config.json").write_text("{}")
    with pytest.raises(TrainError, match="cannot be loaded"):
        stage.run(config(), {**inputs, "student": tmp_path / "broken"}, tmp_path / "broken")


def test_a_labelled_student_labels_the_model(inputs: Inputs, config: Any, tmp_path: Path) -> None:
    """The student named by student.model=.../model: the label is of the folder above, here in a manifest only."""
    import shutil

    shutil.copytree(inputs["student"], tmp_path / "student")
    (tmp_path / "student" / "manifest.json").write_text('{"simulated": true}')
    recipe = config(max_steps=1)
    recipe["student"] = {"model": str(tmp_path / "student" / "model")}
    output = tmp_path / "out"
    output.mkdir()
    stage.run(recipe, {"data": inputs["data"]}, output)
    assert (output / "SIMULATED").read_text() == "made from simulated inputs: student.model\n"
    assert "**Simulated:**" in (output / "model" / "README.md").read_text()
