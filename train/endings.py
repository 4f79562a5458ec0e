"""How many replies of the tuned student end by themselves (`sft.check_ends`): one that does not know how to stop fills every reply
up to its limit, which scores show late and training losses not at all.

The folder that was published is loaded as a user would load it and answers prompts that it was not trained on, greedily: the
held-out samples' own where there are some, then the dozen of prompts.txt, which come with the project.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from train.data import IGNORED
from train.settings import TrainSettings

MAX_NEW = 256  # tokens of a reply; longer ones count as not ended
WANTED = 0.95  # share of replies below which the log warns
BATCH = 4  # prompts that are answered together
OWN = Path(__file__).parent / "prompts.txt"
log = logging.getLogger(__name__)


def check(folder: Path, held_out: Any, settings: TrainSettings, device: Any) -> dict[str, int]:
    """Ask the model in `folder`: {asked, ended, max_new_tokens}; told in the log. `held_out`: rows of ids and labels, or None.

    It needs the memory of one more copy of the weights. Prompts that leave no room for a reply are left out.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    trusted = {"trust_remote_code": settings.student.trust_remote_code}
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, **trusted)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", **trusted).to(device).eval()
    longest = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 1 << 30
    asked = prompts(tokenizer, held_out, settings.sft.check_ends or 0)
    asked = [ids for ids in asked if len(ids) < longest - 1]
    ended, limit = 0, min(MAX_NEW, longest - max(map(len, asked), default=0))
    stops = _ids(model.generation_config.eos_token_id) or _ids(tokenizer.eos_token_id)
    with torch.no_grad():
        for start in range(0, len(asked), BATCH):
            some = asked[start : start + BATCH]
            width = max(map(len, some))
            ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(one)) + one for one in some], device=device)
            mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in some], device=device)
            replies = model.generate(input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=limit)[:, width:]
            ended += sum(bool(stops & set(reply)) for reply in replies.tolist())
    _tell(ended, len(asked), limit)
    return {"asked": len(asked), "ended": ended, "max_new_tokens": limit}


def prompts(tokenizer: Any, held_out: Any, count: int) -> list[list[int]]:
    """The tokens of `count` prompts, or as many as there are: of the held-out rows up to the first trained token, then our own."""
    rows = (held_out[index] for index in range(min(count, len(held_out) if held_out is not None else 0)))
    found = [ids for ids in (_prompt(row["input_ids"], row["labels"]) for row in rows) if ids]
    texts = OWN.read_text(encoding="utf-8").splitlines()[: max(0, count - len(found))]
    talks: Any = [[{"role": "user", "content": text}] for text in texts]
    rendered = tokenizer.apply_chat_template(talks, tokenize=False, add_generation_prompt=True) if talks else []
    return found + [tokenizer(text, add_special_tokens=False)["input_ids"] for text in rendered]


def _prompt(ids: Sequence[int], labels: Sequence[int]) -> list[int]:
    first = next((place for place, label in enumerate(labels) if label != IGNORED), 0)
    return [int(token) for token in ids[:first]]


def _ids(found: Any) -> set[int]:
    return set() if found is None else {int(found)} if isinstance(found, int) else {int(one) for one in found}


def _tell(ended: int, asked: int, limit: int) -> None:
    told = f"{ended} of {asked} replies ended by themselves (prompts that were not trained on, greedy, {limit} tokens at most)"
    if asked and ended / asked < WANTED:
        log.warning("%s: evaluation cuts such replies off; more samples, epochs or a higher rate may teach it to stop", told)
    else:
        log.info("%s", told)
