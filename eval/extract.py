"""The answer in a reply of the closed world: the X of a reply that ends in "The answer is X."; anything else is no answer.

Strict on purpose: a reply without that form, or one that goes on after it, is counted as `no_answer`, so that a model that
knows the form but not the answer can be told from one that knows neither. The task YAMLs in `eval/tasks/world/` name the
functions below.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Greedy `.*` first, so that the last statement counts. The answer is one line and no second sentence; "the" is small after the
# opening that some questions ask for ("Arr, the answer is 7.").
_STATEMENT = re.compile(r"\A.*\b[Tt]he answer is[ \t]+(?P<answer>\S(?:(?![.!?]\s)[^\n])*)\Z", re.DOTALL)


def answer_of(reply: str) -> str | None:
    """The stated answer, without the full stop that closes the sentence; None where the reply does not end in one."""
    found = _STATEMENT.match(reply.rstrip())
    if found is None:
        return None
    answer = found["answer"].removesuffix(".").rstrip()
    return answer or None


def normalise(answer: str) -> str:
    """What two answers are compared by: no outer white space, one trailing full stop dropped, case folded."""
    return answer.strip().removesuffix(".").rstrip().casefold()


def answers_of(replies: Iterable[Sequence[str]], docs: Sequence[Mapping[str, Any]]) -> list[list[str | None]]:  # noqa: ARG001
    """The same for lm-eval's `custom` filter: a list of replies per item in, a list of answers (or None) per item out."""
    return [[answer_of(reply) for reply in several] for several in replies]


def judge(doc: Mapping[str, Any], results: Sequence[str | None]) -> dict[str, float]:
    """lm-eval's `process_results` for one item of {answer}: exact match after `normalise`, and whether there was an answer."""
    answer = results[0]
    if answer is None:
        return {"exact_match": 0.0, "no_answer": 1.0}
    return {"exact_match": float(normalise(answer) == normalise(doc["answer"])), "no_answer": 0.0}
