"""PURE: makes wrong answers from right ones by rule: truncated, with a changed number or operator, negated.

Each function applies one rule to an answer and returns None if the rule does not apply. The wrong answer differs from
the right one in one place only.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

_NUMBER = re.compile(r"(?<![\w.,/])\d{1,9}(?:\.\d+)?(?![\w]|[.,/]\d)")
# the number of a list item
_ENUMERATED = re.compile(r"^\W{0,6}(?:step|day|week|part)?\s?\d{1,3}[.):]\s", re.MULTILINE | re.IGNORECASE)
_CODE = re.compile(r"```|^\s*(?:def|return|for|if|while|class|import|from|print)\b|[{};]\s*$|=>", re.MULTILINE)
_OPERATORS = {
    " + ": " - ",
    " - ": " + ",
    " * ": " + ",
    " < ": " > ",
    " > ": " < ",
    " <= ": " > ",
    " >= ": " < ",
    " == ": " != ",
    " != ": " == ",
    " and ": " or ",
    " or ": " and ",
    "min(": "max(",
    "max(": "min(",
}
_OPERATOR = re.compile("|".join(re.escape(sign) for sign in sorted(_OPERATORS, key=len, reverse=True)))
_VERBS = "is|are|was|were|can|could|will|would|should|must|does|do|did|has|have|had"
_DENIED = re.compile(rf"\b({_VERBS}|can)(?:\s+not|n['’]t|['’]t|not)\b", re.IGNORECASE)
_AFFIRMED = re.compile(
    rf"(?<![?\w])\b({_VERBS})\b(?!\s+(?:not\b|you\b|I\b|we\b|they\b|it\b|he\b|she\b|there\b))", re.IGNORECASE
)
_OPPOSITES = (
    ("yes", "no"),
    ("true", "false"),
    ("increase", "decrease"),
    ("increases", "decreases"),
    ("positive", "negative"),
    ("always", "never"),
    ("more", "less"),
    ("higher", "lower"),
    ("before", "after"),
    ("even", "odd"),
    ("larger", "smaller"),
)
_OPPOSITE = {a: b for pair in _OPPOSITES for a, b in (pair, pair[::-1])}
_TURNED = re.compile(rf"\b({'|'.join(_OPPOSITE)})\b", re.IGNORECASE)
LEAST_WORDS = 12  # minimum words of an answer; a shorter one can read as complete after truncation


def truncated(response: str, rng: random.Random) -> str | None:
    """Return about the first third of the answer, cut off within a sentence. Return None if the answer is too short."""
    pieces = re.findall(r"\S+\s*", response.strip())
    if len(pieces) < LEAST_WORDS:
        return None
    count = max(4, round(len(pieces) * rng.uniform(0.25, 0.45)))
    while count > 4 and pieces[count - 1].rstrip()[-1] in ".!?:":
        count -= 1
    return "".join(pieces[:count]).rstrip()


def changed(response: str, rng: random.Random) -> str | None:
    """Return the answer `response` with one operator or number changed. If the answer is code that has an operator, an
    operator is changed. Otherwise, the last number in the text is changed. The numbers before the items of a numbered
    list are never changed. Return None if the answer has neither an operator nor a number to change."""
    signs = list(_OPERATOR.finditer(response)) if _CODE.search(response) else []
    if signs:
        mark = rng.choice(signs)
        return response[: mark.start()] + _OPERATORS[mark[0]] + response[mark.end() :]
    places = [mark.span() for mark in _ENUMERATED.finditer(response)]
    numbers = [mark for mark in _NUMBER.finditer(response) if not any(a <= mark.start() < b for a, b in places)]
    if not numbers:
        return None
    last = numbers[-1]
    return response[: last.start()] + _other(last[0], rng) + response[last.end() :]


def negated(response: str, rng: random.Random) -> str | None:
    """Return the answer with one statement reversed. Its first negation is removed, or a word is replaced by its
    opposite, or its first verb is negated. Return None if the answer allows none of these changes."""
    if mark := _DENIED.search(response):
        return response[: mark.start()] + mark[1] + response[mark.end() :]
    turned = _TURNED.search(response)
    if turned and (turned.start() < 40 or rng.random() < 0.5):
        word = _OPPOSITE[turned[0].lower()]
        word = word.capitalize() if turned[0][0].isupper() else word
        return response[: turned.start()] + word + response[turned.end() :]
    if _CODE.search(response):
        return None
    verb = _AFFIRMED.search(response)
    return None if verb is None else f"{response[: verb.end()]} not{response[verb.end() :]}"


def _other(number: str, rng: random.Random) -> str:
    """Return a similar number: 1, 2 or 10 more, 1 or 10 less, half or twice as much."""
    whole, point, rest = number.partition(".")
    value = int(whole)
    near = {value + 1, value - 1, value + 2, value + 10, value * 2, value - 10, value // 2} - {value}
    chosen = rng.choice(sorted(n for n in near if n >= 0))
    return f"{chosen}{point}{rest}"


ALTERATIONS: dict[str, Callable[[str, random.Random], str | None]] = {
    "changed": changed,
    "truncated": truncated,
    "negated": negated,
}
