"""Instruction-following difficulty of samples by any causal language model (Li et al. 2023, arXiv 2308.12032).

    IFD = loss of the answer after its instruction / loss of the answer alone        (mean cross-entropy over the answer's tokens)

An IFD near or above 1 means that the instruction does not help to predict the answer; an IFD near 0 means that the
instruction gives the answer away. Values from different models cannot be compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gra.errors import ConfigError, Problem

LONGEST = 2048  # limit on tokens of a pair: the instruction is cut to at most half of it, then the answer to the rest


def scores(pairs: Iterable[tuple[str, str]], model: str) -> list[float | None]:
    """Return the instruction-following difficulty (IFD) of each pair of an instruction and an answer.

    If an answer has fewer than two tokens, its IFD is None. Raises ConfigError if `model` cannot be loaded.
    `model`: folder or hub id of the causal language model that computes the losses.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = str(Path(model).expanduser()) if Path(model).expanduser().exists() else model
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(where)
        network: Any = AutoModelForCausalLM.from_pretrained(where).eval()
    except (OSError, ValueError) as error:
        message = f"{model} cannot be loaded as a causal language model: {str(error).splitlines()[0]}"
        raise ConfigError(
            [Problem("--ifd", message, "give a model folder, or a hub id that was downloaded")]
        ) from error
    network.to("cuda" if torch.cuda.is_available() else "cpu")
    start = next((one for one in (tokenizer.bos_token_id, tokenizer.eos_token_id) if one is not None), None)
    longest = min(LONGEST, getattr(network.config, "max_position_embeddings", LONGEST))
    found: list[float | None] = []
    with torch.inference_mode():
        for instruction, answer in pairs:
            ask = tokenizer(instruction + "\n", add_special_tokens=False)["input_ids"]
            reply = tokenizer(answer, add_special_tokens=False)["input_ids"]
            head = [] if start is None else [start]
            ask = ask[: longest // 2]
            reply = reply[: longest - len(ask) - len(head)]
            if len(reply) < 2:
                found.append(None)
                continue
            after, alone = (_loss(network, context, reply) for context in (head + ask, head))
            found.append(after / alone if alone else None)
    return found


def _loss(network: Any, context: list[int], reply: list[int]) -> float:
    """Return the mean cross-entropy of the reply's tokens after the context. Without any context, the reply's first
    token is not counted."""
    import torch

    ids = torch.tensor([context + reply], device=network.device)
    logits = network(ids).logits[0, :-1].float()
    first = max(len(context) - 1, 0)
    losses = torch.nn.functional.cross_entropy(logits[first:], ids[0, first + 1 :], reduction="none")
    return float(losses.mean())
