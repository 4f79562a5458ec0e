"""PURE: computes the probabilities of given answers (`Request.choices`, e.g. Yes and No) from the logprobs of a reply's
first token.

Servers list the most likely tokens with natural log probabilities. OpenAI, vLLM, SGLang, llama.cpp and TGI send
`logprobs.content[0].top_logprobs: [{"token", "logprob"}]`; some others send `logprobs.top_logprobs: [{token:
logprob}]`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gra.models.base import Reply, Request

TOP = (20, 5)  # number of tokens to request; the second number is tried if a server refuses the first
_SPACE = "▁Ġ \t\r\n"  # with the characters that some tokenizers use for a space


def same(token: str) -> str:
    """Return a token or a choice in lower case and without white space around it. In this form tokens and choices are
    compared."""
    return token.strip().strip(_SPACE).casefold()


def nine(probability: float) -> float:
    """Round to nine significant digits. Further digits depend on how a server writes logarithms."""
    return float(f"{probability:.9g}")


def masses(choices: Sequence[str], tokens: Iterable[tuple[str, float]]) -> dict[str, float] | None:
    """Return the probability of each choice, which is the sum over its spellings in `tokens` (`Yes`, ` yes`, `YES`).
    Return None if none of the tokens matches any choice.

    `tokens`: the server's candidates for the first token, with their probabilities. A choice that matches none of
    them gets 0.0. Its true probability is below that of the least likely token in the list.
    """
    found = dict.fromkeys(choices, 0.0)
    names = {same(choice): choice for choice in choices}
    seen = False
    for token, probability in tokens:
        choice = names.get(same(token))
        if choice is not None and 0.0 < probability <= 1.0001:
            found[choice] += probability
            seen = True
    return {choice: nine(mass) for choice, mass in found.items()} if seen else None


def listed(logprobs: Any) -> list[tuple[str, float]] | None:
    """Return the server's list of likely candidates for the first token of a reply, as pairs (token, probability).
    Return None if the server sent no list. `logprobs`: the value of `choices[0].logprobs` in the server's answer."""
    if not isinstance(logprobs, Mapping):
        return None
    content, tops = logprobs.get("content"), logprobs.get("top_logprobs")
    if isinstance(content, list):
        if not content:
            return []
        first = content[0]
        if not isinstance(first, Mapping):
            return None
        entries = _pairs(first.get("top_logprobs"))
        own = first.get("token")
        if isinstance(own, str) and own not in {token for token, _ in entries}:
            entries += _pairs([first])  # the sampled token need not be among the most likely
        return entries
    if isinstance(tops, list) and tops and isinstance(tops[0], Mapping):
        return _pairs([{"token": token, "logprob": value} for token, value in tops[0].items()])
    return None


def _pairs(entries: Any) -> list[tuple[str, float]]:
    found = []
    for entry in entries if isinstance(entries, list) else []:
        token, value = (entry.get("token"), entry.get("logprob")) if isinstance(entry, Mapping) else (None, None)
        if isinstance(token, str) and isinstance(value, int | float) and not isinstance(value, bool) and value <= 1e-6:
            found.append((token, math.exp(value)))
    return found


def stored_text(request: Request, reply: Reply) -> str:
    """Return the text that is stored for `reply` in the journal, the database of a run's replies. If `request` asked
    for the probabilities of choices, the text is a JSON object with the reply's text and these probabilities. If it
    asked for the log-probability of a forced text, the text is a JSON object with this log-probability. Otherwise, it
    is the reply's text."""
    if request.forced:
        return json.dumps({"logprob": reply.logprob})
    if not request.choices:
        return reply.text
    return json.dumps(
        {"text": reply.text, "choices": None if reply.choices is None else dict(reply.choices)}, ensure_ascii=False
    )


def from_stored(request: Request, row: Sequence[Any]) -> Reply:
    """Return the reply that is stored in `row`, a row of the journal (the database of a run's replies). The row has the
    text (as `stored_text` wrote it), tokens_in, tokens_out, finish and error."""
    if request.forced:
        return replace(Reply("", *row[1:]), logprob=json.loads(row[0])["logprob"])
    if not request.choices:
        return Reply(*row)
    value = json.loads(row[0])
    return replace(Reply(value["text"], *row[1:]), choices=value["choices"])
