r"""Determines the kind of a task's answers, and applies the tolerant reading for this kind to replies.

Every generated reply is read twice. The strict reading is the task's own extraction, which requires the form that the
prompt requests. The tolerant reading tries rules in a fixed order and accepts any clear form. If a model knows the
answers but not the form, only its strict score is low; if it knows neither, both scores are low. A reply that is right
in the strict reading counts as right in the tolerant reading, too. All other replies are read by the rules for their
kind. The rules see the reply and the question, but never the text of the right answer. Only the rules for bbh and world
see the form of the right answer (a number, yes or no, ...). The docstring of each module in the last column lists its
rules in order:

    kind     right answer                        strict form                     tolerant rules
    number   a number (after GSM8K's "####")     as the task's YAML defines it   eval/scoring/number.py
    math     LaTeX; math-verify compares         \boxed{...}                     eval/scoring/mathematics.py
    letter   an option's letter                  "ANSWER: B", or the letter      eval/scoring/multiple_choice.py
    bbh      by the item: letter, number, ...    "So the answer is ... ."        eval/scoring/bbh.py
    code     a program that passes the tests     a code block, or code alone     eval/scoring/programs.py
    ifeval   a reply that follows instructions   any reply that is not blank     lm-eval's loose reading
    world    a short text                        ends in "The answer is ... ."   eval/scoring/world.py

A task states its kind in its YAML (`metadata: {answer: letter}`); the kinds of lm-eval's tasks are listed here by name
(_OFFICIAL). A task of unknown kind, or one scored by log-likelihoods, has no tolerant score.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from gra.errors import EvalError
from gra.eval.scoring import bbh, code, mathematics, multiple_choice, number, world

KINDS = ("number", "math", "letter", "bbh", "code", "ifeval", "world")
Read = tuple[str | None, float]  # the answer found, and its score (0..1)
_OFFICIAL = (
    ("gsm8k*", "number"),
    ("bbh_*", "bbh"),
    ("ifeval*", "ifeval"),
    ("hendrycks_math*", "math"),
    ("minerva_math*", "math"),
    ("arc_challenge_chat", "letter"),
    ("arc_challenge_llama*", "letter"),
    ("mmlu_*_generative", "letter"),
    ("mmlu_flan_cot_*", "letter"),
    ("gpqa_*", "letter"),
)


def kind_of(task: str, spec: Mapping[str, Any]) -> str | None:
    """Return the kind of a leaf task's answers, one of KINDS; None if no tolerant rules exist for the task.

    Tolerant rules extract an answer from a reply even if it is not in the form that the prompt asks for.

    `spec`: the task's YAML, merged with its includes. If `metadata.answer` does not state the kind, the task's name
    decides.

    Raises EvalError for an unknown `metadata.answer`.
    """
    if spec.get("output_type", "generate_until") != "generate_until":
        return None
    named = (spec.get("metadata") or {}).get("answer")
    if named is not None and named not in KINDS:
        raise EvalError(f"{task}: metadata.answer is {named!r}\n    -> set one of {', '.join(KINDS)}, or leave it out")
    return named or next((kind for pattern, kind in _OFFICIAL if fnmatchcase(task, pattern)), None)


def tolerant(kind: str, doc: Mapping[str, Any], reply: str, gold: str) -> Read:
    """Return the answer that the tolerant rules (lenient extraction) find in one reply, and the answer's score.

    `gold`: the item's target text.

    Programs run in the sandbox, and mathematics is judged in separate processes. Otherwise this function is pure.
    Raises EvalError for kinds that only the task can judge (ifeval).
    """
    return tolerant_all(kind, [(doc, reply, gold)])[0]


def tolerant_all(kind: str, items: Sequence[tuple[Mapping[str, Any], str, str]]) -> list[Read]:
    """Return, for each (item, reply, target), what `tolerant` returns for it.

    All programs, or all formulas, are judged together.
    """
    if kind == "math":
        found = [mathematics.stated(reply) for _, reply, _ in items]
        pairs = [
            (mathematics.gold_of(doc), text) for (doc, _, _), text in zip(items, found, strict=True) if text is not None
        ]
        verdicts = iter(mathematics.equal_all(pairs))
        return [(text, float(next(verdicts)) if text is not None else 0.0) for text in found]
    if kind == "code":
        return code.tolerant_all([(doc, reply) for doc, reply, _ in items])
    if kind not in _EACH:
        raise EvalError(f"answers of kind {kind} can be judged only by their task")
    return [_EACH[kind](doc, reply, gold) for doc, reply, gold in items]


def in_form(kind: str | None, extracted: str | None) -> str | None:
    """Return `extracted`, the text that a task's filter took from a reply, if it is an answer; else None.

    Filters of multiple-choice tasks can return any text. For these tasks, only a single letter counts as an answer.
    """
    if extracted is None or kind != "letter":
        return extracted
    return extracted if re.fullmatch(r"\W*[A-Za-z]\W*", extracted) else None


def _number(doc: Mapping[str, Any], reply: str, gold: str) -> Read:  # noqa: ARG001
    found = number.stated(reply)
    return found, float(found is not None and number.same(found, gold))


def _letter(doc: Mapping[str, Any], reply: str, gold: str) -> Read:
    found = multiple_choice.stated(reply, multiple_choice.options_of(doc))
    plain = re.fullmatch(r"\W*([A-Z])\W*", gold)
    return found, float(found is not None and found == (plain[1] if plain else multiple_choice.gold_letter(doc)))


def _bbh(doc: Mapping[str, Any], reply: str, gold: str) -> Read:
    found, right = bbh.read(str(doc.get("input") or ""), reply, gold)
    return found, float(right)


def _world(doc: Mapping[str, Any], reply: str, gold: str) -> Read:  # noqa: ARG001
    found = world.stated(reply, gold)
    return found, float(found is not None and world.same(found, gold))


_EACH = {"number": _number, "letter": _letter, "bbh": _bbh, "world": _world}
