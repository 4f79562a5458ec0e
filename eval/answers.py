"""What kind of answer a task asks for, and the tolerant reading of a reply by that kind.

Every generated reply is read twice. Strictly: by the task's own extraction, which wants the form that was asked for. Tolerantly:
by a cascade of rules, in a fixed order, that finds the answer in whatever form it was given, so that a model that knows the answer
but not the form can be told from one that knows neither. What was strictly right is right tolerantly, without a second look; else
the rules of its kind are asked. They see the reply and the question; of the right answer only its form (bbh, world), never its
text. They are documented, in their order, at the top of the room of the kind:

    kind     right answer                        strict form                     tolerant rules
    number   a number (after GSM8K's "####")     the task's own                  eval/number.py
    math     LaTeX; math-verify compares         \\boxed{...}                     eval/mathematics.py
    letter   an option's letter                  "ANSWER: B", or the letter      eval/letters.py
    bbh      by the item: letter, number, ...    "So the answer is ... ."        eval/bbh.py
    code     what passes the tests               a code block, or code alone     eval/programs.py
    ifeval   instructions followed               any reply that is not blank     lm-eval's loose reading
    world    a short text                        ends in "The answer is ... ."   eval/extract.py

A task names its kind in its YAML (`metadata: {answer: letter}`); lm-eval's own are known by name. A task of no known kind, and one
that is scored by log-likelihoods, has no tolerant score.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from eval import bbh, code, extract, letters, mathematics, number
from gra.errors import EvalError

KINDS = ("number", "math", "letter", "bbh", "code", "ifeval", "world")
Read = tuple[str | None, float]  # what was found, and how right it is (0..1)
_OFFICIAL = (
    ("gsm8k*", "number"), ("bbh_*", "bbh"), ("ifeval*", "ifeval"), ("hendrycks_math*", "math"),
    ("minerva_math*", "math"), ("arc_challenge_chat", "letter"), ("arc_challenge_llama*", "letter"),
    ("mmlu_*_generative", "letter"), ("mmlu_flan_cot_*", "letter"), ("gpqa_*", "letter"),
)  # fmt: skip


def kind_of(task: str, spec: Mapping[str, Any]) -> str | None:
    """The kind of a leaf task's answers, by its YAML (merged) or by its name; None where it has no tolerant score.

    Raises EvalError for a `metadata.answer` that is no kind.
    """
    if spec.get("output_type", "generate_until") != "generate_until":
        return None
    named = (spec.get("metadata") or {}).get("answer")
    if named is not None and named not in KINDS:
        raise EvalError(f"{task}: metadata.answer is {named!r}: give one of {', '.join(KINDS)}, or leave it out")
    return named or next((kind for pattern, kind in _OFFICIAL if fnmatchcase(task, pattern)), None)


def tolerant(kind: str, doc: Mapping[str, Any], reply: str, gold: str) -> Read:
    """One reply, read tolerantly. `gold`: the item's target text. A program runs in the sandbox, and mathematics is judged in
    processes of its own; else this is pure. Raises EvalError for kinds that only the task itself can judge (ifeval)."""
    return tolerant_all(kind, [(doc, reply, gold)])[0]


def tolerant_all(kind: str, items: Sequence[tuple[Mapping[str, Any], str, str]]) -> list[Read]:
    """The same for many items (item, reply, target), programs and formulas together."""
    if kind == "math":
        found = [mathematics.stated(reply) for _, reply, _ in items]
        pairs = [(mathematics.gold_of(doc), text) for (doc, _, _), text in zip(items, found, strict=True) if text is not None]
        verdicts = iter(mathematics.equal_all(pairs))
        return [(text, float(next(verdicts)) if text is not None else 0.0) for text in found]
    if kind == "code":
        return code.tolerant_all([(doc, reply) for doc, reply, _ in items])
    if kind not in _EACH:
        raise EvalError(f"answers of kind {kind} are judged by their task alone")
    return [_EACH[kind](doc, reply, gold) for doc, reply, gold in items]


def in_form(kind: str | None, extracted: str | None) -> str | None:
    """What a task's own filter found, or None where that is no answer at all: some filters of multiple choice hand on any text."""
    if extracted is None or kind != "letter":
        return extracted
    return extracted if re.fullmatch(r"\W*[A-Za-z]\W*", extracted) else None


def _number(doc: Mapping[str, Any], reply: str, gold: str) -> Read:  # noqa: ARG001
    found = number.stated(reply)
    return found, float(found is not None and number.same(found, gold))


def _letter(doc: Mapping[str, Any], reply: str, gold: str) -> Read:
    found = letters.stated(reply, letters.options_of(doc))
    plain = re.fullmatch(r"\W*([A-Z])\W*", gold)
    return found, float(found is not None and found == (plain[1] if plain else letters.gold_letter(doc)))


def _bbh(doc: Mapping[str, Any], reply: str, gold: str) -> Read:
    found, right = bbh.read(str(doc.get("input") or ""), reply, gold)
    return found, float(right)


def _world(doc: Mapping[str, Any], reply: str, gold: str) -> Read:  # noqa: ARG001
    found = extract.stated(reply, gold)
    return found, float(found is not None and extract.same(found, gold))


_EACH = {"number": _number, "letter": _letter, "bbh": _bbh, "world": _world}
