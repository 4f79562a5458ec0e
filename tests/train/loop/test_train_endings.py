"""`sft.check_ends`: how many replies of the tuned student end by themselves, counted on prompts that it was not trained on."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from gra import waiting
from gra.train import stage
from gra.train.data import tokenised
from gra.train.data.rows import IGNORED
from gra.train.loop import endings
from gra.train.settings import TrainSettings


def read_metrics(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return found


Inputs = dict[str, Path]


@pytest.fixture
def inputs(data_folder: Path, student_folder: Path) -> Inputs:
    return {"data": data_folder, "student": student_folder}


def by_hand(folder: Path, asked: list[list[int]], limit: int) -> int:
    """How many greedy replies end, one token at a time and one prompt at a time, without `generate`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    stops = {
        tokenizer.eos_token_id,
        *([found] if isinstance(found := model.generation_config.eos_token_id, int) else found),
    }
    torch.set_num_threads(1)  # of so small a model: more only wait for one another
    ended = 0
    for prompt in asked:
        ids = list(prompt)
        for _ in range(limit):
            with torch.no_grad():
                ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] in stops:
                ended += 1
                break
    return ended


@pytest.mark.slow
def test_the_share_is_that_of_replies_made_by_hand(inputs: Inputs, config: Any, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    metrics = stage.run(config(epochs=10, template="chatml", held_out=4, check_ends=4), inputs, tmp_path)
    found = read_metrics(tmp_path)["ends"]
    assert found["asked"] == 4
    assert metrics["ends_by_itself"] == read_metrics(tmp_path)["ends_by_itself"] == found["ended"] / 4
    folder = tmp_path / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    settings = TrainSettings.model_validate(config(epochs=10, template="chatml", held_out=4))
    (tmp_path / "again").mkdir()
    held_out = tokenised.read(tokenised.ensure(settings, inputs, tmp_path / "again"))[1]
    asked = endings.prompts(tokenizer, held_out, 4)
    assert all(tokenizer.decode(ids).startswith("<|im_start|>user\nWhat follows") for ids in asked)
    assert all(tokenizer.decode(ids).endswith("<|im_start|>assistant\n") for ids in asked)
    assert by_hand(folder, asked, found["max_new_tokens"]) == found["ended"] > 0
    limit = f"the limit of {found['max_new_tokens']} tokens"
    told = f"- Replies that ended before {limit}: {found['ended']} of 4 (prompts that were not trained on"
    assert told in (folder / "README.md").read_text()


def test_a_student_that_does_not_stop_is_told(
    inputs: Inputs, config: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step at no rate to speak of: the model is as random as it came. Nothing is held out, so our own prompts are asked."""
    monkeypatch.setattr(waiting, "LOOK_S", 0.001)
    with caplog.at_level(logging.INFO):
        metrics = stage.run(
            config(max_steps=1, learning_rate=1e-9, template="chatml", check_ends=100), inputs, tmp_path
        )
    assert metrics["ends_by_itself"] == 0
    asked = read_metrics(tmp_path)["ends"]["asked"]
    assert 0 < asked <= 12
    (warned,) = [record for record in caplog.records if "replies ended before the limit" in record.message]
    assert warned.levelno == logging.WARNING
    assert warned.message.startswith(f"0 of {asked} replies")
    assert "sft.check_ends" in warned.message
    progress = [record.message for record in caplog.records if "checking how replies end" in record.message]
    assert progress
    assert progress[0].startswith(f"checking how replies end (sft.check_ends): 0 of {asked}")


def test_it_changes_no_weight_and_no_fingerprint(inputs: Inputs, config: Any, tmp_path: Path) -> None:
    for name, more in (("asked", {"check_ends": 3}), ("not", {})):
        (tmp_path / name).mkdir()
        stage.run(config(max_steps=3, template="chatml", **more), inputs, tmp_path / name)
    one, other = ((tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("asked", "not"))
    assert one == other
    assert (tmp_path / "asked" / "log.csv").read_bytes() == (tmp_path / "not" / "log.csv").read_bytes()
    assert "ends_by_itself" not in read_metrics(tmp_path / "not")
    assert "sft.check_ends" in stage.NOT_HASHED


def test_prompts_of_held_out_rows_come_first_and_ours_fill_up(student_folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(student_folder / "model")
    rows = [{"input_ids": [5, 6, 7, 8], "labels": [IGNORED, IGNORED, 7, 8]}, {"input_ids": [9, 8], "labels": [9, 8]}]
    assert endings.prompts(tokenizer, rows, 1) == [[5, 6]]
    found = endings.prompts(tokenizer, rows, 4)
    assert found[0] == [5, 6]
    assert len(found) == 4  # the second row has no prompt
    assert tokenizer.decode(found[1]) == f"Human: Name three fruits that are red.{tokenizer.eos_token}\nAssistant:"
    assert len(endings.prompts(tokenizer, None, 100)) == 12 == len(set(endings.OWN.read_text().splitlines()))
