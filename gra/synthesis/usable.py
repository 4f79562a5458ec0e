"""PURE: what reads well and is of no use all the same: placeholders, copies of the prompt, tasks that ask for nothing.

Weak models hand back the words they were shown. Each check below refuses one kind, with a fault that begins with its name in
`CHECKS`; the call is asked again like any other that cannot be used. A check is meant to miss rather than to refuse an ordinary
text: how often each refuses one of 10,000 Alpaca records is measured in tests/synthesis/test_usable.py.

    covered(text, shown) = share of the words of `text` that lie in a run of NGRAM words which `shown` holds, too
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import chain
from typing import Any

from pydantic import BaseModel

from gra.synthesis.echoes import begins_a_piece, echoes, words
from gra.synthesis.prompts import fence, line
from gra.synthesis.requests import asks_for_something, speaks_of_prompt

NGRAM = 4  # words
COPIED = 0.6  # a text of which more than this is covered by the prompt is a copy of it ...
LONGEST_KEYWORD = 10  # words
SHORT, COPIED_SHORT = 15, 0.85  # ... of at most so many words: two tasks of one form share most of a short sentence
RESTATED = 0.8  # a response that covers the instruction, and is covered by it, to this share restates it

CHECKS = {  # the fault's first words -> its name in stats.json
    "placeholder": "placeholder",
    "equal keywords": "equal_keywords",
    "a list as one keyword": "list_as_keyword",
    "a sentence as one keyword": "sentence_as_keyword",
    "copies the prompt": "copies_prompt",
    "copies a record": "copies_record",
    "copies a demonstration": "copies_demonstration",
    "asks for nothing": "asks_nothing",
    "speaks of its own prompt": "speaks_of_prompt",
    "repeats the instruction": "repeats_instruction",
}

_BLANK = re.compile(r"[\s.…_\"'`]*(\.\.|…|_)[\s.…_\"'`]*|[<\[{(]*\s*(\.\.\.|…)\s*[>\]})]*")
_STAND_IN = r"""(?:(?:an?|the|your|my|some|new|one-line|short|first|second|third|another|example|insert|put|add|write|enter)[ _-]+)*
    (?:keywords?|instructions?|summar(?:y|ies)|strings?|text|response|answer|comment|strengths?|weaknesses|placeholder|value|todo|tbd|
    lorem[ ]ipsum.*|foo|bar|baz|xxx+)(?:[ _-]*(?:\d+|[abc]|one|two|three|here|goes[ ]here|text))*"""
_MARKED = re.compile(rf"(?:<|\[|\{{\{{?|\(|\$\{{)\s*{_STAND_IN}\s*(?:>|\]|\}}\}}?|\))\.?", re.IGNORECASE | re.VERBOSE)
_PLAIN = re.compile(rf"{_STAND_IN}\.?", re.IGNORECASE | re.VERBOSE)
_LIST = re.compile(r"\w\s*[;\n]\s*\w|(?:[^\W\d_][^,]*,\s*){2,}[^\W\d_]|\s[|•·]\s|\b1[.)] .*\b2[.)] ")


def fault_in(step: str, value: BaseModel | str, prompt: Sequence[Mapping[str, str]], values: Mapping[str, Any]) -> str | None:
    """Why `value`, the reply to `step`, is of no use, or None. `prompt`: the messages it answers; `values`: what they were
    made of."""
    check = _STEPS.get(step)
    return None if check is None else check(value, _Shown(prompt, values))


class _Shown:
    """What the model was shown: `rules`, the prompt's own words; `records`, those of the pool's records in it."""

    def __init__(self, prompt: Sequence[Mapping[str, str]], values: Mapping[str, Any]):
        self.prompt, self._values = prompt, values
        self.keywords = list(values.get("keywords", ()))
        self.instruction = str(values.get("instruction", ""))
        self.demonstrations = list(values.get("demonstrations", ()))
        self.taken = list(values.get("taken", ()))

    @cached_property
    def records(self) -> list[str]:
        return [text for record in self._values.get("records", ()) for text in _texts(record, self._values)]

    @cached_property
    def demonstrated(self) -> list[str]:
        """The texts of the demonstrations, as they stand in the turns."""
        return [t for d in self.demonstrations for t in (d.instruction, d.response, d.summary, ", ".join(d.keywords), *d.keywords)]

    def echoed(self, text: str, hidden: Iterable[str] = (), least: int = 1) -> str | None:
        """The fault of a text that is a turn, a line or a sentence of the conversation, or begins as a turn does."""
        starts = (self._values.get("topics", ()), *((d.keywords[0], d.keywords[-1]) for d in self.demonstrations))
        lists = (self.keywords, *(d.keywords for d in self.demonstrations))
        filled = chain(map(", ".join, lists), map(" and ".join, starts), self.records, self.material)
        found = echoes(text, self.prompt, (shape(part) for part in filled for shape in (fence, line)), map(fence, hidden), least)
        return f"copies the prompt: {text[:160]}" if found else None

    @property
    def material(self) -> list[str]:
        """The texts that an annotation is about and a response answers: their own lines may stand in it."""
        return [self._values[key] for key in ("instruction", "response") if isinstance(self._values.get(key), str)]

    @cached_property
    def rules(self) -> str:
        own = [self._values[key] for key in ("instruction", "response", "domain") if isinstance(self._values.get(key), str)]
        own += [", ".join(self.keywords), *self._values.get("topics", ()), *self.demonstrated]
        rules = "\n".join(message["content"] for message in self.prompt if message["role"] != "assistant")
        for text in sorted({*own, *self.keywords, *self.records}, key=len, reverse=True):
            rules = rules.replace(fence(text), "\n") if len(text) > 2 else rules
        return rules


def _texts(record: Any, values: Mapping[str, Any]) -> list[str]:
    whole = [record.instruction, record.response] if values.get("show") == "full" else []
    return [record.summary, "; ".join(record.keywords), *whole]


def _proposed(value: Any, shown: _Shown) -> str | None:
    """New keywords: not those of a demonstration or taken ones, nor what a form takes of a line of the prompt. Those of a record
    in a message of the edition `classic` may be used again."""
    if (fault := _keywords(value, shown)) is not None:
        return fault
    mine = _set(value.keywords)
    if any(mine == _set(keywords) for keywords in (*(d.keywords for d in shown.demonstrations), *shown.taken)):
        return f"copies a demonstration: {'; '.join(value.keywords)}"
    joined = ", ".join(value.keywords)
    if begins_a_piece(joined, shown.prompt, map(fence, shown.records), NGRAM):
        return f"copies the prompt: {joined}"
    return shown.echoed(joined, shown.records)


def _set(keywords: Iterable[str]) -> frozenset[tuple[str, ...]]:
    return frozenset(words(keyword) for keyword in keywords)


def _keywords(value: Any, shown: _Shown) -> str | None:
    keywords: list[str] = value.keywords
    named = keywords == ["1", "2", "3"] or all(_PLAIN.fullmatch(k) for k in keywords)  # one alone can be a topic: "string"
    if named or any(_BLANK.fullmatch(k) or _MARKED.fullmatch(k) for k in keywords):
        return f"placeholder: {'; '.join(keywords)}"
    if len({" ".join(words(k)) or k for k in keywords}) < len(keywords):
        return f"equal keywords: {'; '.join(keywords)}"
    if (found := next((k for k in keywords if _LIST.search(k)), None)) is not None:
        return f"a list as one keyword: {found}"
    if (found := next((k for k in keywords if len(k.split()) > LONGEST_KEYWORD), None)) is not None:
        return f"a sentence as one keyword: {found}"
    copy = next((k for k in keywords if len(k.split()) >= NGRAM and copied(k, shown.rules)), None)
    return f"copies the prompt: {copy}" if copy else None


def _annotation(value: Any, shown: _Shown) -> str | None:
    same = words(value.summary)
    if any(same == words(demonstration.summary) for demonstration in shown.demonstrations):
        return f"copies a demonstration: {value.summary}"
    fault = _keywords(value, shown) or _placeholder(value.summary) or _copy(value.summary, shown.rules, ())
    return fault or shown.echoed(value.summary, shown.material)


def _instruction(value: Any, shown: _Shown) -> str | None:
    text: str = value.instruction
    fault = _placeholder(text) or _demonstrated(text, shown) or _copy(text, shown.rules, shown.records) or shown.echoed(text)
    if fault is None and words(text) and set(words(text)) <= set(words(" ".join(shown.keywords))):
        fault = f"asks for nothing: the keywords alone, {text}"
    if fault is None and speaks_of_prompt(text):
        fault = f"speaks of its own prompt: {text}"
    if fault is None and not asks_for_something(text):
        fault = f"asks for nothing: {text}"
    return fault


def _demonstrated(text: str, shown: _Shown) -> str | None:
    """Where the text is a demonstration's instruction or summary, or a copy of one."""
    mine = words(text)
    for text_of in (t for d in shown.demonstrations for t in (d.instruction, d.summary)):
        if mine == words(text_of) or copied(text, text_of):
            return f"copies a demonstration: {text_of[:160]}"
    return None


def _response(text: Any, shown: _Shown) -> str | None:
    if (fault := _placeholder(text, plain=False)) is not None:
        return fault
    if len(words(text)) >= NGRAM and copied(text, shown.rules):
        return f"copies the prompt: {text[:160]}"
    if (fault := shown.echoed(text, shown.material, NGRAM)) is not None:
        return fault
    return f"repeats the instruction: {text[:160]}" if restates(text, shown.instruction) else None


def _review(value: Any, _: _Shown) -> str | None:
    blank = _BLANK.fullmatch(value.strengths) and _BLANK.fullmatch(value.weaknesses)
    return "placeholder: strengths and weaknesses" if blank else None


def _check(value: Any, _: _Shown) -> str | None:
    return "placeholder: the comment" if _BLANK.fullmatch(value.comment) else None


_STEPS: dict[str, Callable[[Any, _Shown], str | None]] = {
    "keywords": _proposed, "instruction": _instruction, "respond": _response, "annotate": _annotation,
    "annotate_seed": _annotation, "review": _review, "adjudicate": _review, "check": _check,
}  # fmt: skip


def _placeholder(text: str, plain: bool = True) -> str | None:
    if plain and not words(text):
        return f"placeholder: no word in {text[:80]!r}"
    found = _BLANK.fullmatch(text) or _MARKED.fullmatch(text) or (plain and _PLAIN.fullmatch(text) and not re.search(r"\d", text))
    return f"placeholder: {text[:80]}" if found else None


def _copy(text: str, rules: str, records: Iterable[str]) -> str | None:
    records = list(records)
    if (found := next((record for record in records if copied(text, record)), None)) is not None:
        return f"copies a record: {found[:160]}"
    return f"copies the prompt: {text[:160]}" if copied(text, rules, *records) else None


def copied(text: str, *shown: str) -> bool:
    """Whether `text` is a copy of parts of `shown`."""
    return covered(text, *shown) > (COPIED_SHORT if len(words(text)) <= SHORT else COPIED)


def covered(text: str, *shown: str) -> float:
    """The share of the words of `text` in runs of NGRAM words that one of `shown` holds, too. 0 for a shorter text."""
    mine = words(text)
    if len(mine) < NGRAM:
        return 0.0
    known = frozenset().union(*[_gram_set(part) for part in shown]) if len(shown) > 1 else _gram_set(shown[0])
    inside = [False] * len(mine)
    for place, gram in enumerate(_grams(mine)):
        if gram in known:
            inside[place : place + NGRAM] = [True] * NGRAM
    return sum(inside) / len(mine)


def restates(response: str, instruction: str) -> bool:
    """Whether `response` is the instruction over again and nothing else. A task on a given text ("Correct: ...") is answered by
    most of that text: so the beginning and the end of the instruction must be there, too."""
    asked, said = words(instruction), words(response)
    if not asked or not said or asked == said:
        return bool(asked) and asked == said
    if len(asked) <= NGRAM:
        return False
    grams = set(_grams(said))
    if tuple(asked[:NGRAM]) not in grams or tuple(asked[-NGRAM:]) not in grams:
        return False
    return covered(response, instruction) >= RESTATED and covered(instruction, response) >= RESTATED


@lru_cache(128)
def _gram_set(text: str) -> frozenset[tuple[str, ...]]:
    """Of what is shown again and again: the rules of a step, the records of a pool."""
    return frozenset(_grams(words(text)))


def _grams(parts: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(parts[i : i + NGRAM]) for i in range(len(parts) - NGRAM + 1)]
