"""Replaces the strict reading of stored replies by OpenCompass's rules (opencompass.py)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gra.eval.scoring import code, mathematics, multiple_choice, number, opencompass

OPENCOMPASS = "opencompass"
VERIFIED = "verified"  # by a model at a server: verifying.py, ../inference/verifier.py
READINGS = (
    "strict",
    OPENCOMPASS,
    VERIFIED,
)  # the choices of `gra rescore --reading`; all come with the tolerant reading


def reread(leaf: str, kind: str | None, logged: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
    """Return a leaf task's samples with OpenCompass's answers and verdicts instead of those of the task's own rules.

    Programs run in the sandbox.

    Return None for a task to which OpenCompass's rules do not apply: IFEval (OpenCompass makes the same checks), a
    benchmark that GRA generates for simulations (eval/tasks/world), or a task with an unknown kind of answers.
    """
    mine = [sample for sample in logged if sample["filter"] == logged[0]["filter"]]
    docs, replies = [sample["doc"] for sample in mine], [str(sample["resps"][0][0]) for sample in mine]
    golds = [str(sample["target"]) for sample in mine]
    match kind:
        case "letter":
            if leaf.startswith("gpqa"):
                found = [opencompass.asked_letter(reply) for reply in replies]
            else:
                found = [opencompass.letter(reply, _options(doc)) for reply, doc in _both(replies, docs)]
            right = [answer == _letter(gold, doc) for answer, gold, doc in zip(found, golds, docs, strict=True)]
        case "number":
            found = [opencompass.number(reply) for reply in replies]
            right = [answer is not None and number.same(answer, gold) for answer, gold in _both(found, golds)]
        case "math":
            found = [opencompass.expression(reply) for reply in replies]
            pairs = [(mathematics.gold_of(doc), answer) for doc, answer in _both(docs, found) if answer]
            verdicts = iter(mathematics.equal_all(pairs))
            right = [bool(answer) and next(verdicts) for answer in found]
        case "bbh":
            lettered = [re.fullmatch(r"\([A-Z]\)", gold.strip()) is not None for gold in golds]
            found = [
                (opencompass.option if one else opencompass.free)(reply) or None
                for reply, one in _both(replies, lettered)
            ]
            wanted = [gold.strip("() ") if one else opencompass.free(gold) for gold, one in _both(golds, lettered)]
            right = [
                answer is not None and answer.casefold() == gold.casefold() for answer, gold in _both(found, wanted)
            ]
        case "code":
            rules = [opencompass.humaneval if "entry_point" in doc else opencompass.mbpp for doc in docs]
            found = [rule(reply) for rule, reply in _both(rules, replies)]
            right = code.passes([(doc, program) for doc, program in _both(docs, found)])
        case _:
            return None
    return [
        {**sample, "filtered_resps": [answer], sample["metrics"][0]: float(verdict)}
        for sample, answer, verdict in zip(mine, found, right, strict=True)
    ]


def _both(first: Sequence[Any], second: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(first, second, strict=True))


def _options(doc: Mapping[str, Any]) -> str:
    return multiple_choice.LETTERS[: len(multiple_choice.options_of(doc)) or 4]


def _letter(gold: str, doc: Mapping[str, Any]) -> str:
    plain = re.fullmatch(r"\W*([A-Z])\W*", gold)
    return plain[1] if plain else multiple_choice.gold_letter(doc)
