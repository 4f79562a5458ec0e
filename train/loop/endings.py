"""Counts how many replies of the tuned student end before the token limit (`sft.check_ends`).

A student that does not learn to stop fills every reply up to the limit. Scores show this fault late, and training
losses never show it. The published model is loaded as a user would load it. It answers prompts that it was not trained
on, with greedy decoding: the prompts of the held-out samples, if any, then the dozen prompts in prompts.txt.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gra.train.data.rows import IGNORED
from gra.train.settings import TrainSettings
from gra.waiting import reported

MAX_NEW = 256  # token limit of a reply; a longer reply counts as not ended
WANTED = 0.95  # share of ended replies below which the log warns
BATCH = 4  # prompts per batch
OWN = Path(__file__).parent / "prompts.txt"
log = logging.getLogger(__name__)


def check(folder: Path, held_out: Any, settings: TrainSettings, device: Any) -> dict[str, int]:
    """Count how many replies of the model in `folder` end before the token limit. Log the result and return {asked,
    ended, max_new_tokens}.

    `held_out`: the rows of the held-out set, with input_ids and labels; None if there are none. The check needs memory
    for another copy of the weights. Prompts that leave no room for a reply are skipped.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    trusted = {"trust_remote_code": settings.student.trust_remote_code}
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, **trusted)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", **trusted).to(device).eval()
    longest = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 1 << 30
    chosen = [ids for ids in prompts(tokenizer, held_out, settings.sft.check_ends or 0) if len(ids) < longest - 1]
    done, ended, limit = 0, 0, min(MAX_NEW, longest - max(map(len, chosen), default=0))
    stops = _ids(model.generation_config.eos_token_id) or _ids(tokenizer.eos_token_id)
    progress = reported(lambda: f"checking how replies end (sft.check_ends): {done} of {len(chosen)}")
    with torch.no_grad(), progress:
        for start in range(0, len(chosen), BATCH):
            some = chosen[start : start + BATCH]
            width = max(map(len, some))
            ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(one)) + one for one in some], device=device)
            mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in some], device=device)
            replies = model.generate(input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=limit)[
                :, width:
            ]
            ended += sum(bool(stops & set(reply)) for reply in replies.tolist())
            done += len(some)
    _log(ended, len(chosen), limit)
    return {"asked": len(chosen), "ended": ended, "max_new_tokens": limit}


def prompts(tokenizer: Any, held_out: Any, count: int) -> list[list[int]]:
    """Return up to `count` prompts, as lists of token ids.

    The held-out rows come first, each cut before its first trained token. The prompts of prompts.txt follow.
    """
    rows = (held_out[index] for index in range(min(count, len(held_out) if held_out is not None else 0)))
    found = [ids for ids in (_prompt(row["input_ids"], row["labels"]) for row in rows) if ids]
    texts = OWN.read_text(encoding="utf-8").splitlines()[: max(0, count - len(found))]
    conversations: Any = [[{"role": "user", "content": text}] for text in texts]
    rendered = (
        tokenizer.apply_chat_template(conversations, tokenize=False, add_generation_prompt=True)
        if conversations
        else []
    )
    return found + [tokenizer(text, add_special_tokens=False)["input_ids"] for text in rendered]


def _prompt(ids: Sequence[int], labels: Sequence[int]) -> list[int]:
    first = next((place for place, label in enumerate(labels) if label != IGNORED), 0)
    return [int(token) for token in ids[:first]]


def _ids(found: Any) -> set[int]:
    return set() if found is None else {int(found)} if isinstance(found, int) else {int(one) for one in found}


def _log(ended: int, total: int, limit: int) -> None:
    how = "sft.check_ends: prompts that were not trained on, greedy"
    text = f"{ended} of {total} replies ended before the limit of {limit} tokens ({how})"
    if total and ended / total < WANTED:
        log.warning(
            "%s: an evaluation truncates the others; train on more samples, more epochs or at a higher learning rate",
            text,
        )
    else:
        log.info("%s", text)
