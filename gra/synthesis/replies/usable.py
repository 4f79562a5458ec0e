"""PURE: detects replies that are well-formed but unusable: placeholders, copies of the prompt, tasks without a question, refusals.

Weak models repeat the words that they were shown. Each check refuses one kind of reply. The text of its fault begins
with a key of `CHECKS`; the call is then retried, as after any other fault. A check should rather miss a bad text than
refuse an ordinary one: tests/synthesis/replies/test_usable_ordinary.py measures how many of 10,000 Alpaca records each
check refuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

from pydantic import BaseModel

from gra.synthesis.prompts import fence, line
from gra.synthesis.replies.echoes import begins_a_piece, echoes, pieces, words
from gra.synthesis.replies.material import missing_material
from gra.synthesis.replies.missing_code import lacks_code
from gra.synthesis.replies.overlap import NGRAM, copied, most_covered
from gra.synthesis.replies.refusals import asks_back, is_refusal
from gra.synthesis.replies.requests import asks_for_something, speaks_of_prompt, speaks_of_request
from gra.synthesis.replies.restating import restates
from gra.synthesis.replies.slots import unfilled_slot

LONGEST_KEYWORD = 10  # maximum words of a keyword
_RUN = b"\1" * NGRAM
RULE = 6  # words: no answer contains a sentence of the system message of this length by chance

CHECKS = {  # first words of the fault -> its name in stats.json
    "placeholder": "placeholder",
    "equal keywords": "equal_keywords",
    "a list as one keyword": "list_as_keyword",
    "a sentence as one keyword": "sentence_as_keyword",
    "copies the prompt": "copies_prompt",
    "copies a record": "copies_record",
    "copies a demonstration": "copies_demonstration",
    "asks for nothing": "asks_nothing",
    "lacks its material": "lacks_material",
    "speaks of its own prompt": "speaks_of_prompt",
    "repeats the instruction": "repeats_instruction",
    "refuses the task": "refuses_task",
    "lacks the code": "lacks_code",
    "leaves a slot unfilled": "unfilled_slot",
}

_CLOSING = re.compile(r"</[a-z_]+>")
_BLANK = re.compile(r"[\s.…_\"'`]*(\.\.|…|_)[\s.…_\"'`]*|[<\[{(]*\s*(\.\.\.|…)\s*[>\]})]*")
_STAND_IN = r"""(?:(?:an?|the|your|my|some|new|one-line|short|first|second|third|another|example|insert|put|add|write|enter)[ _-]+)*
    (?:keywords?|instructions?|summar(?:y|ies)|strings?|text|response|answer|comment|strengths?|weaknesses|placeholder|value|todo|tbd|
    lorem[ ]ipsum.*|foo|bar|baz|xxx+)(?:[ _-]*(?:\d+|[abc]|one|two|three|here|goes[ ]here|text))*"""
_MARKED = re.compile(rf"(?:<|\[|\{{\{{?|\(|\$\{{)\s*{_STAND_IN}\s*(?:>|\]|\}}\}}?|\))\.?", re.IGNORECASE | re.VERBOSE)
_PLAIN = re.compile(rf"{_STAND_IN}\.?", re.IGNORECASE | re.VERBOSE)
_LIST = re.compile(r"\w\s*[;\n]\s*\w|(?:[^\W\d_][^,]*,\s*){2,}[^\W\d_]|\s[|•·]\s|\b1[.)] .*\b2[.)] ")


def fault_in(
    step: str, value: BaseModel | str, prompt: Sequence[Mapping[str, str]], values: Mapping[str, Any]
) -> str | None:
    """Return why the reply `value` to `step` is unusable, or None if it is usable. `prompt`: the messages that it
    answers. `values`: the values that were filled into these messages."""
    if (judged := _JUDGED.get(step)) is not None:
        return judged(value)
    check = _STEPS.get(step)
    return None if check is None else check(value, _Shown(prompt, values))


class _Shown:
    """What the model was shown. `rules`: the prompt's own words, without the filled-in texts. `records`: the texts of
    the pool records in the prompt."""

    def __init__(self, prompt: Sequence[Mapping[str, str]], values: Mapping[str, Any]):
        self.prompt, self._values = prompt, values
        self.keywords = list(values.get("keywords", ()))
        self.instruction = str(values.get("instruction", ""))
        self.demonstrations = list(values.get("demonstrations", ()))
        self.taken = list(values.get("taken", ()))
        self.slots = values.get("slots", "keep")

    @cached_property
    def records(self) -> list[str]:
        return [text for record in self._values.get("records", ()) for text in _texts(record, self._values)]

    @cached_property
    def demonstrated(self) -> list[str]:
        """The texts of the demonstrations that the conversation shows."""
        return [
            t
            for d in self.demonstrations
            for t in (d.instruction, d.response, d.summary, ", ".join(d.keywords), *d.keywords)
        ]

    def echoed(self, text: str, hidden: Iterable[str] = (), least: int = 1) -> str | None:
        """Return the reason why the reply is unusable if the text repeats a turn (message), line or sentence of the
        conversation, or begins like one of its user turns. Otherwise return None. The texts in `hidden` are removed
        from the conversation before the comparison. `least`: the minimum number of words of a repeated turn, line or
        sentence."""
        found = echoes(text, self.prompt, self._filled(), map(fence, hidden), least)
        return f"copies the prompt: {text[:160]}" if found else None

    def _filled(self) -> Iterator[str]:
        """Yield the texts that were filled into the turns, in each form in which a turn can hold them."""
        starts = (self._values.get("topics", ()), *((d.keywords[0], d.keywords[-1]) for d in self.demonstrations))
        lists = (self.keywords, *(d.keywords for d in self.demonstrations))
        for part in chain(map(", ".join, lists), map(" and ".join, starts), self.records, self.material):
            yield from (fence(part), line(part))

    def unlike(self, text: str) -> bool:
        """Return True only if `text` is certainly not a copy of the prompt, a record or a demonstration. This quick
        check settles nearly all replies. It looks up each single word of `text` in the texts that were shown to the
        model. Only a sequence of at least NGRAM consecutive words that all occur there can be copied. So the number of
        words in such sequences is an upper limit on the number of copied words."""
        known = bytes(map(self._folded.__contains__, mine := words(text)))
        most = sum(len(run) for run in known.split(b"\0") if len(run) >= NGRAM) if _RUN in known else 0
        return not all(known) and most / len(mine) <= most_covered(mine)

    @cached_property
    def _folded(self) -> str:
        """All texts that were shown, casefolded."""
        demonstrated = (text for d in self.demonstrations for text in (d.instruction, d.summary))
        return "\n".join((*(message["content"] for message in self.prompt), *self.records, *demonstrated)).casefold()

    def rule_in(self, text: str) -> str | None:
        """Return a sentence of the system message that the text contains, or None. Weak models sometimes continue their
        prompt with such a sentence."""
        said = f" {' '.join(words(text))} "
        systems = [message["content"] for message in self.prompt if message["role"] == "system"]
        rules = (" ".join(rule) for turn in systems for rule in pieces(turn) if len(rule) >= RULE)
        found = sorted(rule for rule in rules if f" {rule} " in said and f" {rule} " not in self._asked)
        return found[0] if found else None

    def tag_in(self, text: str) -> str | None:
        """Return a closing tag of the prompt that the text contains, or None. Weak models sometimes continue their
        prompt with such a tag. Tags in the texts that were filled into the prompt do not count."""
        if "</" not in text:
            return None
        given = set(_CLOSING.findall("\n".join((*self.material, *self.records, *self.demonstrated))))
        own = set(_CLOSING.findall("\n".join(message["content"] for message in self.prompt))) - given
        return next((tag for tag in _CLOSING.findall(text) if tag in own), None)

    @cached_property
    def _asked(self) -> str:
        return f" {' '.join(words(self.instruction))} "

    @property
    def material(self) -> list[str]:
        """The instruction and response that the prompt contains. A reply that repeats their lines is no copy of the
        prompt, because the reply annotates or answers these texts."""
        return [self._values[key] for key in ("instruction", "response") if isinstance(self._values.get(key), str)]

    @cached_property
    def rules(self) -> str:
        own = [
            self._values[key] for key in ("instruction", "response", "domain") if isinstance(self._values.get(key), str)
        ]
        own += [", ".join(self.keywords), *self._values.get("topics", ()), *self.demonstrated]
        rules = "\n".join(message["content"] for message in self.prompt if message["role"] != "assistant")
        for text in sorted({*own, *self.keywords, *self.records}, key=lambda text: (-len(text), text)):
            rules = rules.replace(fence(text), "\n") if len(text) > 2 else rules
        return rules


def _texts(record: Any, values: Mapping[str, Any]) -> list[str]:
    whole = [record.instruction, record.response] if values.get("show") == "full" else []
    return [record.summary, "; ".join(record.keywords), *whole]


def _proposed(value: Any, shown: _Shown) -> str | None:
    """Return the fault of new keywords, or None. Keywords are refused if they equal the keywords of a demonstration, if
    they equal keywords that are already taken (the prompt's variable `taken`), or if a line of the prompt begins with
    them. They may equal the keywords of a record that the prompt shows (prompts of the edition `classic` show
    records)."""
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
    # all of them must be placeholders, because a single one ("string") can be a topic
    named = keywords == ["1", "2", "3"] or all(_PLAIN.fullmatch(k) for k in keywords)
    odd = [k for k in keywords if not k.replace(" ", "").replace("-", "").isalnum()]  # only these can match a pattern
    if named or any(_BLANK.fullmatch(k) or _MARKED.fullmatch(k) for k in odd):
        return f"placeholder: {'; '.join(keywords)}"
    if len({" ".join(words(k)) or k for k in keywords}) < len(keywords):
        return f"equal keywords: {'; '.join(keywords)}"
    if (found := next((k for k in odd if _LIST.search(k)), None)) is not None:
        return f"a list as one keyword: {found}"
    if (found := next((k for k in keywords if len(k.split()) > LONGEST_KEYWORD), None)) is not None:
        return f"a sentence as one keyword: {found}"
    copy = next(
        (k for k in keywords if len(k.split()) >= NGRAM and not shown.unlike(k) and copied(k, shown.rules)), None
    )
    return f"copies the prompt: {copy}" if copy else None


def _annotation(value: Any, shown: _Shown) -> str | None:
    same = words(value.summary)
    if any(same == words(demonstration.summary) for demonstration in shown.demonstrations):
        return f"copies a demonstration: {value.summary}"
    fault = _keywords(value, shown) or _placeholder(value.summary)
    if fault is None and not shown.unlike(value.summary):
        fault = _copy(value.summary, shown.rules, ())
    return fault or shown.echoed(value.summary, shown.material)


def _instruction(value: Any, shown: _Shown) -> str | None:
    text: str = value.instruction
    fault = _placeholder(text)
    if fault is None and not shown.unlike(text):
        fault = _demonstrated(text, shown) or _copy(text, shown.rules, shown.records)
    fault = fault or shown.echoed(text)
    if fault is None and words(text) and set(words(text)) <= set(words(" ".join(shown.keywords))):
        fault = f"asks for nothing: the keywords alone, {text}"
    if fault is None and speaks_of_prompt(text):
        fault = f"speaks of its own prompt: {text}"
    if fault is None and not asks_for_something(text):
        fault = f"asks for nothing: {text}"
    if fault is None and (material := missing_material(text)) is not None:
        fault = f"lacks its material: {material}"
    return fault


def _demonstrated(text: str, shown: _Shown) -> str | None:
    """Return the fault if the text is a demonstration's instruction or summary, or a copy of one; else None."""
    mine = words(text)
    for text_of in (t for d in shown.demonstrations for t in (d.instruction, d.summary)):
        if mine == words(text_of) or copied(text, text_of):
            return f"copies a demonstration: {text_of[:160]}"
    return None


def _response(text: Any, shown: _Shown) -> str | None:
    if (fault := _placeholder(text, plain=False)) is not None:
        return fault
    if is_refusal(text) or asks_back(text, shown.instruction):
        return f"refuses the task: {text[:160]}"
    if len(words(text)) >= NGRAM and not shown.unlike(text) and copied(text, shown.rules):
        return f"copies the prompt: {text[:160]}"
    if (fault := shown.echoed(text, shown.material, NGRAM)) is not None:
        return fault
    if (rule := shown.rule_in(text)) is not None:
        return f"copies the prompt: {rule}"
    if (tag := shown.tag_in(text)) is not None:
        return f"copies the prompt: {tag}"
    if (said := speaks_of_request(text, shown.instruction)) is not None:
        return f"speaks of its own prompt: {said}"
    if shown.slots == "refuse" and (slot := unfilled_slot(text, shown.instruction)) is not None:
        return f"leaves a slot unfilled: {slot}"
    if restates(text, shown.instruction):
        return f"repeats the instruction: {text[:160]}"
    return f"lacks the code: {text[:160]}" if lacks_code(text, shown.instruction) else None


def _review(value: Any) -> str | None:
    blank = _BLANK.fullmatch(value.strengths) and _BLANK.fullmatch(value.weaknesses)
    return "placeholder: strengths and weaknesses" if blank else None


def _check(value: Any) -> str | None:
    return "placeholder: the comment" if _BLANK.fullmatch(value.comment) else None


_STEPS: dict[str, Callable[[Any, _Shown], str | None]] = {
    "keywords": _proposed,
    "instruction": _instruction,
    "respond": _response,
    "rewrite": _response,
    "annotate": _annotation,
    "annotate_seed": _annotation,
}
_JUDGED: dict[str, Callable[[Any], str | None]] = {"review": _review, "adjudicate": _review, "check": _check}


def _placeholder(text: str, plain: bool = True) -> str | None:
    if plain and not words(text):
        return f"placeholder: no word in {text[:80]!r}"
    found = (
        _BLANK.fullmatch(text)
        or _MARKED.fullmatch(text)
        or (plain and _PLAIN.fullmatch(text) and not re.search(r"\d", text))
    )
    return f"placeholder: {text[:80]}" if found else None


def _copy(text: str, rules: str, records: Sequence[str]) -> str | None:
    if (found := next((record for record in records if copied(text, record)), None)) is not None:
        return f"copies a record: {found[:160]}"
    return f"copies the prompt: {text[:160]}" if copied(text, rules, *records) else None
