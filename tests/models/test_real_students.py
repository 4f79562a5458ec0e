"""Students made of real weights: the folder of `gra fetch students` loads, answers, has its chat template, and no row or prompt
begins with two beginning-of-text tokens. Each test skips, with the reason, where weights or the package `gguf` cannot be had."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest
from real_weights import fetched

from gra.labels import QUANTIZED, quantized
from gra.weights import student
from gra.weights.command import catalogue

TALK = [
    {"role": "user", "content": "Name a colour."},
    {"role": "assistant", "content": "Blue."},
    {"role": "user", "content": "And one more?"},
    {"role": "assistant", "content": "Red."},
]
PROMPT = {
    "smollm2-135m": "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    "<|im_start|>user\nName a colour.<|im_end|>\n<|im_start|>assistant\n",
    "gemma3-270m": "<bos><start_of_turn>user\nName a colour.<end_of_turn>\n<start_of_turn>model\n",
}
END = {"smollm2-135m": "<|im_end|>", "gemma3-270m": "<end_of_turn>"}
STARTS = {"smollm2-135m": 0, "gemma3-270m": 1}  # beginning-of-text tokens of a row by the tokenizer's own template


def made(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The student's folder, in the caller's cache or made beside the fetched weights."""
    if importlib.util.find_spec("gguf") is None:
        pytest.skip("the package gguf is not here: pip install 'gra[cpu]'")
    fetched(name, monkeypatch, tmp_path_factory.getbasetemp() / "weights")
    return student.make(name, catalogue()["small"][name], print)


@pytest.fixture(params=sorted(PROMPT))
def name(request: pytest.FixtureRequest) -> str:
    """Gemma's conversion takes minutes and 3 GB: only where its folder is there, or GRA_TEST_GEMMA=1 asks for it."""
    found: str = request.param
    callers = os.environ.get("GRA_CALLERS_CACHE") or ""
    if found.startswith("gemma") and os.environ.get("GRA_TEST_GEMMA") != "1":
        folder = Path(callers) / "students" / found
        if callers in ("", "off") or not folder.is_dir():
            pytest.skip("Gemma's student is not in the cache: gra fetch students gemma3-270m, or GRA_TEST_GEMMA=1")
    return found


@pytest.fixture
def folder(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(name, monkeypatch, tmp_path_factory)


@pytest.fixture
def tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.slow
def test_it_loads_and_answers_and_says_what_it_is(name: str, folder: Path, tokenizer: Any) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    weights = catalogue()["small"][name]
    assert weights.sha256 in (folder / QUANTIZED).read_text()
    assert quantized([folder]) is not None
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.float32
    assert not hasattr(model.config, "quantization_config")
    text = tokenizer.apply_chat_template(TALK[:1], tokenize=False, add_generation_prompt=True)
    assert text == PROMPT[name]
    ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
    with torch.no_grad():
        logits = model(ids).logits[0, -1]
        reply = model.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
    assert logits.shape == (len(tokenizer),) or logits.shape[0] >= len(tokenizer)
    assert torch.isfinite(logits).all()
    assert tokenizer.decode(reply, skip_special_tokens=True).strip()
    plain, mixed = (
        surprise(model, tokenizer, text)
        for text in (
            "The sun rises in the east and sets in the west.",
            "West sets the sun and the in rises in east the.",
        )
    )
    assert plain < 3 < plain + 1.5 < mixed  # nats a token: English, and the same words out of order


def surprise(model: Any, tokenizer: Any, text: str) -> float:
    """Mean negative log-likelihood of a text's tokens."""
    import torch

    ids = torch.tensor([tokenizer(text)["input_ids"]])
    with torch.no_grad():
        return float(model(ids, labels=ids).loss)


def starts(tokenizer: Any, ids: list[int]) -> int:
    """How many beginning-of-text tokens the row begins with; of a tokenizer whose own is also a turn's mark, doubled ones count."""
    found = 0
    for one in ids:
        if one != tokenizer.bos_token_id:
            break
        found += 1
    return found


@pytest.mark.slow
def test_no_row_of_training_begins_twice(
    name: str, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By the student's own template the row begins as its model was trained to begin; `default` writes no beginning-of-text token,
    and for a tokenizer that would put one the log says so."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from transformers import AutoTokenizer

    from gra.train.data import tokenised
    from gra.train.settings import TrainSettings

    data = tmp_path / "data_folder"
    (data / "data").mkdir(parents=True)
    pq.write_table(pa.table({"messages": [TALK] * 4}), data / "data" / "train.parquet")
    for template in ("tokenizer", "default", "chatml"):
        caplog.clear()
        recipe = {
            "template": template,
            "learning_rate": 1e-4,
            "global_batch": 2,
            "cutoff_length": 128,
            "precision": "fp32",
        }
        settings = TrainSettings.model_validate(
            {"seed": 0, "student": {"name": name, "model": str(folder)}, "sft": recipe}
        )
        output = tmp_path / template
        output.mkdir()
        rows = tokenised.read(tokenised.ensure(settings, {"data": data}, output))[0]
        tokenizer = AutoTokenizer.from_pretrained(folder)
        text = tokenizer.decode(rows[0]["input_ids"])
        if template == "tokenizer":
            assert text.startswith(PROMPT[name])
            assert text.count(END[name]) == len(TALK) + (name == "smollm2-135m")  # its system message ends as well
        if name.startswith("gemma"):
            assert starts(tokenizer, rows[0]["input_ids"]) == (STARTS[name] if template == "tokenizer" else 0)
            told = [record for record in caplog.records if "beginning-of-text token" in record.getMessage()]
            assert len(told) == (template != "tokenizer")
        else:
            assert starts(tokenizer, rows[0]["input_ids"]) <= 1  # <|im_start|> is its beginning-of-text token
            assert text.count("<|im_start|><|im_start|>") == 0
            assert "beginning-of-text token" not in caplog.text


@pytest.mark.slow
def test_no_prompt_of_evaluation_begins_twice(name: str, folder: Path, tokenizer: Any) -> None:
    from gra.eval.backends.front import HarnessModel
    from gra.eval.settings import Model

    for chat in (True, False):
        front = HarnessModel(Model(path=str(folder)), chat=chat)
        text = front.apply_chat_template(TALK[:1]) if chat else "Question: Name a colour.\nAnswer:"
        (ids,) = front.tokens([text])
        assert ids == front.tok_encode(text)
        assert starts(tokenizer, ids) == (1 if chat or name.startswith("gemma") else 0)
        if chat:
            assert ids == tokenizer(PROMPT[name], add_special_tokens=False)["input_ids"]


def test_a_base_model_gets_turns_where_its_tokenizer_has_their_marks(bare_model: Path) -> None:
    """On a tiny model: as a Gemma it gets Gemma's turns and stops at both ends; without the marks it stays as it is."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(bare_model), AutoTokenizer.from_pretrained(bare_model)
    before = tokenizer.eos_token_id
    student.give_turns(model, tokenizer)
    assert not tokenizer.chat_template
    assert tokenizer.eos_token_id == before
    tokenizer.add_tokens(["<start_of_turn>", "<end_of_turn>"], special_tokens=True)
    student.give_turns(model, tokenizer)
    start = tokenizer.bos_token or ""
    text = tokenizer.apply_chat_template(TALK[:1], tokenize=False, add_generation_prompt=True)
    assert text == PROMPT["gemma3-270m"].replace("<bos>", start)
    end = tokenizer.convert_tokens_to_ids("<end_of_turn>")
    assert model.generation_config.eos_token_id == [end, *([] if before is None else [before])]
    assert tokenizer.eos_token_id == end


def test_a_folder_is_made_once_and_again_for_other_weights(tmp_path: Path) -> None:
    assert not student._made_of(tmp_path, "ab")
    # as folders of before say
    (tmp_path / QUANTIZED).write_text("x: made float32 again out of a rounded GGUF file, sha256 ab\n")
    assert student._made_of(tmp_path, "ab")
    assert not student._made_of(tmp_path, "cd")
    (tmp_path / student.SOURCE).write_text("x: file, sha256 cd\n")
    assert student._made_of(tmp_path, "cd")
