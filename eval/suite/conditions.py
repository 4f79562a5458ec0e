"""PURE: collects the conditions of an evaluation that affect a benchmark's score. `gra compare` compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Plain = str | int | float | bool | None


def conditions_of(results: Mapping[str, Any], leaves: Sequence[str]) -> dict[str, Plain]:
    """Return the conditions under which a benchmark was evaluated.

    `results`: lm-eval's results (results.json). `leaves`: the benchmark's leaf tasks.

    The conditions are:

    - version: the task's version in lm-eval.
    - shots: the number of worked examples.
    - max_new_tokens: the token limit of a reply. It is lower than the configured limit if the model's context is too
      short.
    - prompts_cut: the number of prompts shortened at their start.
    - chat_template: whether the chat template was used.
    - system_instruction: the hash of the system message.
    - template: the chat template's hash, cut to 12 characters.
    - bos: the setting `suite.bos`. There is no such entry if the setting is `model`.
    - sentence_splitter: the name of the sentence splitter (IFEval only).
    """
    leaf = leaves[0]
    config = results.get("configs", {}).get(leaf, {})
    replies = results.get("replies", {})
    longest = (config.get("generation_kwargs") or {}).get("max_gen_toks")
    limits = replies.get("answer_limits") or {}
    cut = replies.get("cut") or {}
    found: dict[str, Plain] = {
        "version": results.get("versions", {}).get(leaf),
        "shots": results.get("n-shot", {}).get(leaf),
        "max_new_tokens": limits.get(str(longest), longest),
        "prompts_cut": sum(cut.get(name, 0) for name in leaves),
        "chat_template": results.get("chat_template") is not None,
        "system_instruction": results.get("system_instruction_sha"),
        "template": (results.get("chat_template_sha") or "")[:12] or None,
    }
    splitter = (config.get("metadata") or {}).get("sentence_splitter")
    found |= {"bos": results["bos"]} if "bos" in results else {}
    return found | ({"sentence_splitter": splitter} if splitter is not None else {})
