"""PURE: how a benchmark was asked, as far as its score hangs on it: what gra compare holds against another run's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Plain = str | int | float | bool | None


def asked(results: Mapping[str, Any], leaves: Sequence[str]) -> dict[str, Plain]:
    """From lm-eval's results (results.json) and a benchmark's leaf tasks: its version, worked examples, the longest reply that
    was allowed (tokens, as the model had room for it), prompts that were cut at their head, whether the model's chat template
    and a system instruction were used, which template that was (a piece of its hash), and for IFEval who counted sentences."""
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
    return found | ({"sentence_splitter": splitter} if splitter is not None else {})
