"""Adds formal faults to a simulated model's replies. A reply in JSON can be in a code fence, have text before it, have
a repairable error, or be unusable. Any other reply can be a refusal, ramble or stop early."""

from __future__ import annotations

import json
import random
import re
from typing import Any

from gra.simulation.profiles import Profile

_TOKEN = re.compile(r"\w+|[^\w\s]")
_REFUSALS = ("I am sorry, but I cannot help with that.", "As a language model I cannot answer this question.")
_RAMBLES = (
    " There are many ways to look at this, and it is good to check the question once more before going on.",
    " I hope this helps, and please feel free to ask me anything else that you would like to know.",
)


def count_tokens(text: str) -> int:
    """Return how many tokens the simulated tokenizer makes of a text. Each sequence of letters, digits and underscores
    is one token. Each other character is one token too, except white space."""
    return len(_TOKEN.findall(text))


def cut(text: str, max_tokens: int) -> tuple[str, bool]:
    """Return `text` truncated to at most `max_tokens` tokens, and whether this removed anything."""
    if len(text) <= max_tokens:  # a token has at least one character
        return text, False
    for number, token in enumerate(_TOKEN.finditer(text), 1):
        if number > max_tokens:
            return text[: token.start()].rstrip(), True
    return text, False


def write_json(profile: Profile, value: dict[str, Any], rng: random.Random) -> str:
    """Return `value` as JSON, sometimes with a random fault of its format, e.g. with text before the JSON. `profile`
    gives the probability of each fault."""
    text = json.dumps(value, ensure_ascii=False)
    draw = rng.random()
    for share, form in (
        (profile.broken, _break),
        (profile.sloppy, _slop),
        (profile.fenced, _fence),
        (profile.prefixed, _prefix),
    ):
        if draw < share:
            return form(text, value, rng)
        draw -= share
    return text


def _break(text: str, value: dict[str, Any], rng: random.Random) -> str:
    kind = rng.randrange(3)
    if kind == 0:
        return "I have looked at the material with care and it seems fine to me overall."
    if kind == 1:
        return text[: rng.randrange(2, max(3, len(text) // 3))]
    worse = {k: f"{v}/10" if isinstance(v, int) and not isinstance(v, bool) else v for k, v in value.items()}
    worse.pop(next(reversed(worse)))
    return json.dumps(worse)


def _slop(text: str, _value: dict[str, Any], rng: random.Random) -> str:
    return text[:-1] + ",}" if rng.random() < 0.5 else text[:-1]


def _fence(text: str, _value: dict[str, Any], _rng: random.Random) -> str:
    return f"```json\n{text}\n```"


def _prefix(text: str, _value: dict[str, Any], _rng: random.Random) -> str:
    return f"Here is the JSON you asked for:\n{text}"


def write_plain(profile: Profile, text: str, label: str, prompt: str, rng: random.Random) -> str:
    """Return the one-line reply `text`, sometimes with a random fault of its format.

    These attributes of `profile` give the probabilities of the faults:

    - `broken`: the reply is the string `prompt` instead of the text.
    - `sloppy`: the string `prompt` follows the text.
    - `fenced`: the text is in quotes.
    - `prefixed`: the string `label` and a colon stand before the text.
    """
    draw = rng.random()
    for share, form in (
        (profile.broken, prompt),
        (profile.sloppy, f"{text}\n\n{prompt}"),
        (profile.fenced, f'"{text}"'),
        (profile.prefixed, f"{label}: {text}"),
    ):
        if draw < share:
            return form
        draw -= share
    return text


def write_text(profile: Profile, text: str, rng: random.Random) -> str:
    """Return the free-form answer `text`, sometimes with a random fault. With a fault, it is replaced by a refusal,
    truncated, or followed by chatter. `profile` gives the probability of each fault."""
    draw = rng.random()
    if draw < profile.refusal:
        return rng.choice(_REFUSALS)
    draw -= profile.refusal
    if draw < profile.truncated:
        return text[: max(4, int(len(text) * rng.uniform(0.3, 0.6)))].rstrip()
    draw -= profile.truncated
    return text + rng.choice(_RAMBLES) if draw < profile.ramble else text
