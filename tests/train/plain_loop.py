"""The paper's recipe written out in plain PyTorch, with nothing of the stage, TRL or transformers' trainer in it: what
test_train_recipe.py holds the stage against. Rendering, masking, order, schedule and loss are stated here a second time."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn.functional import log_softmax

END = "<|endoftext|>"
Talk = list[dict[str, str]]


def tokens_of(tokenizer: Any, talk: Talk) -> tuple[list[int], list[bool]]:
    """Ids of a talk in the `default` template, and which of them are trained: an answer's words and the end token after it."""
    pieces: list[tuple[str, bool]] = []
    between = ""
    for question, answer in zip(talk[::2], talk[1::2], strict=True):
        pieces += [
            (f"{between}Human: {question['content']}{END}\nAssistant:", False),
            (f"{answer['content']}{END}", True),
        ]
        between = "\n"
    ids: list[int] = []
    trained: list[bool] = []
    for text, learn in [*pieces, (between, False)]:
        new = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids += new
        trained += [learn] * len(new)
    return ids, trained


def train(
    model: Any, tokenizer: Any, talks: list[Talk], batch: int, rate: float, warmup: float, seed: int
) -> list[dict[str, Any]]:
    """One epoch over `talks`; changes `model` and returns for each step the loss, the learning rate, and (for a test) the loss as
    a mean over samples of their own means, which the paper's tool chain is not to have."""
    decoded = [tokens_of(tokenizer, talk) for talk in talks]
    order = torch.randperm(len(talks), generator=torch.Generator().manual_seed(seed)).tolist()  # epoch e: seed + e
    steps = math.ceil(len(talks) / batch)
    warm = math.ceil(steps * warmup)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    history = []
    model.train()
    for step in range(steps):
        falling = 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))
        lr = rate * (step / warm if step < warm else falling)
        losses: list[torch.Tensor] = []
        means: list[torch.Tensor] = []
        for index in order[step * batch : (step + 1) * batch]:
            ids, trained = decoded[index]
            logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
            picked = log_softmax(logits, -1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
            losses.append(-picked[torch.tensor(trained[1:])])
            means.append(losses[-1].mean())
        loss = torch.cat(losses).sum() / sum(len(part) for part in losses)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        history.append({"loss": loss.item(), "lr": lr, "mean_of_means": torch.stack(means).mean().item()})
    return history
