r"""Reads the answer of a reply in the closed world: the X of a reply that ends in "The answer is X.".

This reading is strict on purpose: a reply without that form, or with text after it, counts as `no_answer`. This metric
thus tells a model that knows neither the form nor the answer from a model that knows only the form. The task YAMLs in
`eval/tasks/world/` refer to `answers_of` and `judge`.

The tolerant reading (`stated`) applies to replies that are not right in the strict reading. The form of the right
answer decides which rules apply: those of number.py to a number, those of bbh.py to yes / no and true / false, and to
any other answer the following rules, of which the first that finds an answer decides:

    boxed      the content of the last \boxed{...}
    stated     the rest of the sentence after the last "answer is", "Answer:" ...
    bold       the last text in bold
    mentioned  the last n words of the last sentence, where n is the number of words in the right answer; no answer if
               the sentence weighs two answers ("even or odd")

The last two rules do not apply to a reply that declines to answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gra.eval.scoring import bbh, number
from gra.eval.scoring.phrases import (
    AMBIGUOUS,
    Found,
    bold,
    boxed,
    clause,
    conclusion,
    refuses,
    sentences,
    settled,
    statements,
)

# Greedy `.*` first, so that the last statement counts. The answer is one line without a second sentence; "the" is in lower case
# after the opening that some questions require ("Arr, the answer is 7.").
_STATEMENT = re.compile(r"\A.*\b[Tt]he answer is[ \t]+(?P<answer>\S(?:(?![.!?]\s)[^\n])*)\Z", re.DOTALL)


def answer_of(reply: str) -> str | None:
    """Return the answer that the reply states in the form that the prompt asks for, without the final full stop.

    Return None if the reply does not end in such a statement.
    """
    found = _STATEMENT.match(reply.rstrip())
    if found is None:
        return None
    answer = found["answer"].removesuffix(".").rstrip()
    return answer or None


def normalise(answer: str) -> str:
    """Return `answer` in the form in which answers are compared.

    Blanks at both ends and one final full stop are removed, and the case is folded.
    """
    return answer.strip().removesuffix(".").rstrip().casefold()


def answers_of(replies: Iterable[Sequence[str]], docs: Sequence[Mapping[str, Any]]) -> list[list[str | None]]:  # noqa: ARG001
    """Return the answer of every reply of every item; None if it has none. lm-eval uses this as a `custom` filter."""
    return [[answer_of(reply) for reply in several] for several in replies]


def judge(doc: Mapping[str, Any], results: Sequence[str | None]) -> dict[str, float]:
    """Return an item's metrics. lm-eval calls this function as `process_results`.

    `exact_match`: whether the answer equals the right one after `normalise`.
    `no_answer`: whether the reply has no answer.
    """
    answer = results[0]
    if answer is None:
        return {"exact_match": 0.0, "no_answer": 1.0}
    return {"exact_match": float(normalise(answer) == normalise(doc["answer"])), "no_answer": 0.0}


def stated(reply: str, gold: str) -> str | None:
    """Return the answer that the tolerant rules (lenient extraction) find in a reply; None if there is none.

    `gold`: the right answer. The rules use only its form: whether it is a number or a word, and its number of words.
    """
    if re.fullmatch(r"-?[\d.,]+", gold.strip()):
        return number.stated(reply)
    pair = next((pair for pair in bbh.PAIRS if gold.strip().casefold() in pair), None)
    if pair is not None:
        return bbh.word(reply, pair)
    text = conclusion(reply)
    found: Found = boxed(text)
    for rest in statements(text) if not found else ():
        found = found or _bare(clause(rest))
    if not found and not refuses(text):
        found = next((words for said in bold(text)[::-1] if (words := _bare(said))), None) or _mentioned(
            text, len(gold.split())
        )
    return settled(found)


def same(answer: str, gold: str) -> bool:
    """Return whether an answer found by the tolerant rules (lenient extraction) is right.

    The answer is right if it is the same number as `gold`, or the same text after the function `normalise`.
    """
    if re.fullmatch(r"-?[\d.,]+", gold.strip()):
        return number.same(answer, gold)
    return normalise(answer) == normalise(gold)


def _mentioned(text: str, count: int) -> Found:
    """Return the last `count` words of the last sentence; None if it is shorter, AMBIGUOUS if it weighs two answers ("or")."""
    last = (sentences(text) or [""])[-1]
    if re.search(r"\b(?:or|either|neither)\b", last, re.IGNORECASE):
        return AMBIGUOUS
    return _bare(" ".join(last.split()[-count:])) if len(last.split()) >= count else None


def _bare(words: str) -> str | None:
    return words.strip(" \t*_\"'`.!?") or None
