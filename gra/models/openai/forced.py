"""PURE: asks a server how likely a model finds a given text (`Request.forced`), and reads the answer.

A chat server writes replies of its own. llama.cpp writes a given text if a grammar allows nothing else, and its
`logprobs` are the probabilities before the grammar is applied. The grammar is in the language of LLGuidance
(https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md), which llama.cpp has if it is built with
LLAMA_LLGUIDANCE, as the wheel of `gra[cpu]` is. llama.cpp's own language, GBNF, is slower and splits the text into
unusual tokens. Other servers have not been tried. Some compute `logprobs` after the grammar, where every token of the
text has the probability 1.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from gra.models.openai.choices import nine

_HEAD = "%llguidance {}\nstart: "


def grammar(text: str) -> str:
    """Return a grammar that allows only `text`."""
    return _HEAD + json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def text_of(rules: str) -> str:
    """Return the text that a grammar of `grammar` allows. Return "" for any other grammar."""
    return str(json.loads(rules.removeprefix(_HEAD))) if rules.startswith(_HEAD) else ""


def mean_logprob(logprobs: Any, written: str, forced: str, tokens: int | None) -> float | None:
    """Return the mean natural log-probability per token of the text `forced`, rounded to nine digits.

    `logprobs`: the value of `choices[0].logprobs` in the server's answer. `written`: the text of this answer. It may be
    only the beginning of `forced`, because the answer ends at its `max_tokens` or at a stop string. The mean is then
    over this beginning. `tokens`: the number of tokens of the answer; None if the server does not tell.

    Return None if the server wrote nothing or another text, or if it left log-probabilities out. llama.cpp leaves out
    the log-probability of a token that ends inside a multi-byte character. Such tokens are frequent outside ASCII.
    """
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if not written or not forced.startswith(written) or not isinstance(content, list):
        return None
    if tokens is not None and tokens != len(content):
        return None
    values = []
    for place, entry in enumerate(content, 1):
        token, value = (entry.get("token"), entry.get("logprob")) if isinstance(entry, Mapping) else (None, None)
        if not isinstance(token, str) or isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if not math.isfinite(value) or value > 1e-6:
            return None
        if token or place < len(content):  # the token that ends a reply has no text
            values.append(float(value))
    return nine(sum(values) / len(values)) if values else None
