"""A prompt's tokens are the same in training and in evaluation, also for tokenizers that put a beginning-of-text token first."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from eval.harness import load
from eval.settings import Model, Runtime
from train import data, templates

BOS = "<|im_start|>"  # serves here as the beginning-of-text token; the template `default` does not use it
WRITES_BOS = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}assistant: "
TALK = [{"role": "user", "content": "The answer to 1 plus 2?"}, {"role": "assistant", "content": "The answer is 3."}]


def with_bos(model: Path, folder: Path, template: str) -> tuple[Path, Any]:
    """A copy of `model` whose tokenizer adds BOS to every text, as Llama 3's does, and renders talks by `template`."""
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    shutil.copytree(model, folder)
    own: Any = AutoTokenizer.from_pretrained(model)
    backend = own.backend_tokenizer
    backend.post_processor = TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, own.convert_tokens_to_ids(BOS))])
    made = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=BOS, eos_token=own.eos_token, pad_token=own.pad_token)
    made.chat_template = templates.read("default") if template == "default" else template
    made.save_pretrained(folder)
    return folder, AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("template", ["default", WRITES_BOS], ids=["default", "writes its own"])
def test_training_and_evaluation_feed_the_same_prompt(template: str, tiny_chat_model: Path, tmp_path: Path) -> None:
    folder, tokenizer = with_bos(tiny_chat_model, tmp_path / "bos", template)
    bos = tokenizer.convert_tokens_to_ids(BOS)
    assert tokenizer("word")["input_ids"][0] == bos  # left alone it adds one

    if template == "default":  # train/data.py, to the token
        (sample,) = data.Tokeniser(tokenizer, cutoff=200).encode([TALK])
        assert isinstance(sample, data.Sample)
        trained = [token for token, label in zip(sample.ids, sample.labels, strict=True) if label == data.IGNORED]
        trained = trained[: next(n for n, label in enumerate(sample.labels) if label != data.IGNORED)]
    else:
        text = tokenizer.apply_chat_template(TALK[:1], tokenize=False, add_generation_prompt=True)
        trained = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert trained.count(bos) == (0 if template == "default" else 1)

    lm = load(Model(path=str(folder)), Runtime(device="cpu", batch_size=1, threads=1), chat=True)
    prompt = lm.apply_chat_template(TALK[:1])
    ids, _ = lm.tok_batch_encode([prompt])  # what generate_until feeds
    assert ids[0].tolist() == trained
    assert lm.tok_encode(prompt) == trained  # what loglikelihood feeds

    bare = load(Model(path=str(folder)), Runtime(device="cpu", batch_size=1, threads=1), chat=False)
    assert bare.tok_encode("word")[0] == bos  # without a chat template: as the tokenizer has it
