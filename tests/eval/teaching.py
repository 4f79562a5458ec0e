"""Teaches a tiny model replies by heart, for tests that must know what it will say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def teach(start: Path, replies: dict[str, str], folder: Path) -> None:
    """Train a model of the shape of `start` until it gives every reply by heart, and save it in `folder`."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    tokenizer: Any = AutoTokenizer.from_pretrained(start)
    shape = AutoConfig.from_pretrained(start)
    shape.initializer_range = 0.05  # `start` itself has weights too wild to learn from
    model: Any = AutoModelForCausalLM.from_config(shape)
    texts, marks = [], []
    for question, reply in replies.items():
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, tokenize=True, return_dict=False
        )
        said = tokenizer(reply + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
        texts.append(asked + said)
        marks.append([-100] * len(asked) + said)
    longest = max(map(len, texts))
    ids = torch.tensor([text + [tokenizer.pad_token_id] * (longest - len(text)) for text in texts])
    labels = torch.tensor([mark + [-100] * (longest - len(mark)) for mark in marks])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a model so small gains nothing by more, and waits for them where the machine is busy
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    for _ in range(600):
        output = model(input_ids=ids, labels=labels)
        known = labels[:, 1:] != -100
        if bool((output.logits[:, :-1].argmax(-1) == labels[:, 1:])[known].all()) and output.loss.item() < 0.01:
            break
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
    else:
        pytest.fail("the tiny model did not learn its replies by heart")
    torch.set_num_threads(threads)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
