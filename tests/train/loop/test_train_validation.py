"""The validation loss: by token over the whole held-out set, whatever the batches; and it changes nothing in training."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from gra.fileio import read_json, sha256_file
from gra.train import stage
from gra.train.data import tokenised
from gra.train.settings import TrainSettings


def expected(config: Any, inputs: dict[str, Path], folder: Path, scratch: Path) -> float:
    """Token by token, one document at a time, from the published model and the held-out tokens."""
    import torch
    from transformers import AutoModelForCausalLM

    _, held_out, _ = tokenised.read(tokenised.ensure(TrainSettings.model_validate(config), inputs, scratch))
    model = AutoModelForCausalLM.from_pretrained(folder / "model")
    total, count = 0.0, 0
    for row in held_out or []:
        start = 0
        for length in row.get("seq_lengths") or [len(row["input_ids"])]:
            ids, labels = (torch.tensor(row[key][start : start + length]) for key in ("input_ids", "labels"))
            start += length
            with torch.no_grad():
                scores = model(ids[None]).logits[0].log_softmax(-1)
            for place in range(1, length):
                if labels[place] != -100:
                    total -= float(scores[place - 1, labels[place]])
                    count += 1
    return total / count


@pytest.mark.parametrize("packing", [False, True])
def test_it_is_taken_by_token_and_changes_nothing(
    packing: bool, student_folder: Path, data_folder: Path, config: Any, tmp_path: Path
) -> None:
    inputs = {"data": data_folder, "student": student_folder}
    found = {}
    for name, per_device, eval_steps in (("often", 4, 2), ("end", 4, None), ("small", 1, None)):
        folder = tmp_path / name
        folder.mkdir()
        recipe = config(max_steps=5, global_batch=4, held_out=9, eval_steps=eval_steps, packing=packing)
        recipe["runtime"]["per_device_batch"] = per_device
        found[name] = stage.run(recipe, inputs, folder)["validation_loss"]
        rows = list(csv.DictReader((folder / "log.csv").open()))
        validated = {row["step"]: float(row["validation_loss"]) for row in rows if row["validation_loss"]}
        assert list(validated) == (["2", "4", "5"] if eval_steps else ["5"])
        assert all(row["loss"] for row in rows)
        assert validated["5"] == found[name] == read_json(folder / "metrics.json")["validation_loss"]
    assert found["often"] == found["end"] == pytest.approx(found["small"], rel=1e-5)
    assert found["end"] == pytest.approx(expected(recipe, inputs, tmp_path / "small", tmp_path / "scratch"), rel=1e-5)
    assert sha256_file(tmp_path / "often" / "model") == sha256_file(tmp_path / "end" / "model")


def test_without_a_held_out_set_there_is_none(
    student_folder: Path, data_folder: Path, config: Any, tmp_path: Path
) -> None:
    inputs = {"data": data_folder, "student": student_folder}
    assert [p.key for p in stage.check(config(eval_steps=1), dict(inputs))] == ["sft.eval_steps"]
    metrics = stage.run(config(max_steps=1), inputs, tmp_path)
    assert "validation_loss" not in metrics
    assert "validation_loss" not in (tmp_path / "log.csv").read_text()
