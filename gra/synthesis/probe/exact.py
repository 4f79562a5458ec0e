"""Finds seeds whose answer is exact (a number, a letter, a word such as "yes"), so that a rule can grade other answers
to the same question.

A seed's response counts as exact in two cases: it consists of the answer alone, or it marks its final answer (`The
answer is 72.`, `#### 72`, `\\boxed{72}`). Seeds with any other response are not used, because a number in it may be
something else than the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from gra.errors import ConfigError, Problem
from gra.known import AnySeed, Known

_NUMBER = r"[-−+]?[$€£]?\s?\d[\d,]*(?:\.\d+)?(?:\s?/\s?\d+)?"
_MARKED = re.compile(
    r"####\s*(?P<hashes>[^\n]+)|\\boxed\{(?P<boxed>[^{}]{1,60})\}|\b(?:final\s+)?answer\s*(?:is|:)[:\s*_$]*(?P<said>[^\n]{1,80})",
    re.IGNORECASE,
)
_BARE = re.compile(rf"\W{{0,3}}(?:{_NUMBER})\s?(?:%|[A-Za-z]{{1,12}})?\W{{0,3}}\Z")
_LETTER = re.compile(r"\(?([A-Ha-h])\)?(?:[.):]|\Z)")
_OPTIONS = re.compile(r"(?:^|\s)\(?[A-Da-d][.):]\s*\S", re.MULTILINE)
_WORD = re.compile(r"\W{0,3}(yes|no|true|false)\W{0,3}\Z", re.IGNORECASE)
Answer = Fraction | str


def source(settings: dict[str, object], seeds: Sequence[AnySeed]) -> list[Known]:
    """Return the seeds with exact answers, each with a rule that grades other answers. Raises ConfigError if `settings`
    is not empty, because this source of questions has no settings."""
    if settings:
        raise ConfigError([Problem("probe.sources", f"unknown keys: {', '.join(settings)}", "remove them")])
    found = []
    for seed in seeds:
        answer = answer_of(seed.response, choice=bool(_OPTIONS.search(seed.instruction)), whole=True)
        if answer is not None:
            choice = isinstance(answer, str) and len(answer) == 1
            found.append(Known(seed.id, seed.instruction, seed.response, seed.domain, _Rule(answer, choice)))
    return found


class _Rule:
    """A function that says whether a reply gives the same answer as the seed. A reply without an answer counts as
    wrong."""

    def __init__(self, answer: Answer, choice: bool):
        self._answer, self._choice = answer, choice

    def __call__(self, reply: str) -> bool | None:
        return answer_of(reply, choice=self._choice, whole=False) == self._answer


def answer_of(text: str, *, choice: bool, whole: bool) -> Answer | None:
    """Return the answer that a text gives: a number (as a fraction), a letter or a word. Return None if the text gives
    none.

    If the text marks its answer ("The answer is 72."), the marked answer is returned. Otherwise, the arguments decide
    which part of the text counts as the answer. `choice`: whether the question lists options by letter. If it is True,
    only a letter at the beginning of the text is an answer. If it is False, and the whole text is a number or a word
    such as "yes", this number or word is the answer. `whole` is used if `choice` is False and the whole text is neither
    a number nor such a word. If `whole` is True, this text has no answer. If `whole` is False, the answer is the first
    of these that the text has: "yes", "no", "true" or "false" at the beginning, the last number of the last sentence,
    the last number of the whole text.
    """
    text = text.strip()
    marks = list(_MARKED.finditer(text))
    if marks:
        said = next(part for part in marks[-1].groups() if part is not None)
        return _read(said, choice)
    if choice:
        return letter[1].upper() if (letter := _LETTER.match(text)) else None
    if _BARE.match(text):
        return _number(text)
    if word := _WORD.match(text):
        return word[1].casefold()
    if whole:
        return None
    if word := re.match(r"\W{0,3}(yes|no|true|false)\b", text, re.IGNORECASE):
        return word[1].casefold()
    return _number(re.split(r"(?<=[.!?])\s|\n", text)[-1]) or _number(text)


def _read(said: str, choice: bool) -> Answer | None:
    if choice and (letter := _LETTER.match(said.strip(" *_$"))):
        return letter[1].upper()
    if (number := _number(said, first=True)) is not None:
        return number
    bare = re.split(r"[.!?](?:\s|\Z)", said)[0].strip(" \"'*_`.$").casefold()
    return bare if 0 < len(bare) <= 60 and bare.count(" ") < 4 else None


def _number(text: str, *, first: bool = False) -> Fraction | None:
    found = re.findall(r"(?<![\w.])[-−]?\d[\d,]*(?:\.\d+)?(?:/\d+)?", text)
    if not found:
        return None
    digits = (found[0] if first else found[-1]).replace(",", "").replace("−", "-")
    try:
        return Fraction(digits)
    except (ValueError, ZeroDivisionError):
        return None
