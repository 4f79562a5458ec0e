r"""Extracts the expression that a reply to MATH gives as its answer: strictly and tolerantly. math-verify judges it.

Strict (`answers_of`, `judge`, for the task YAMLs): the content of the last \boxed{...} with closed braces, because the
prompt asks for this form. lm-eval first calls `answers_of` with all replies of a task. `answers_of` judges their
answers together and keeps the verdicts in this module. Then lm-eval calls `judge` for each item, and `judge` takes the
verdict from there.

Tolerant (`stated`): the first rule that finds an expression decides:

    boxed      the content of the last \boxed{...}, as in the strict reading
    stated     the sentence or line after the last "answer is ...", "Answer: ...": the formula ($...$, \(...\), \[...\])
               with which it begins, else its last formula, else all of it. If several sentences with digits follow a
               bare "Answer:", the rules from `bold` on are applied to these sentences instead.
    bold       the last text in bold with a digit or a formula
    formula    the last formula of the reply
    last       the last number of the reply

The rules from `bold` on do not apply to a reply that declines to answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gra.errors import EvalError
from gra.eval.scoring import mathjudge, number
from gra.eval.scoring.phrases import alone, announced, bold, boxed, clause, conclusion, refuses
from gra.eval.scoring.thoughts import spoken

_DENIED = re.compile(r"(?:,\s*(?:and\s+)?not|,?\s+(?:rather than|instead of))\s.*", re.DOTALL)  # "1/2, not 2"
_LONGEST = 500  # characters; a longer answer is wrong: MATH's longest have about 150
_FORMULA = re.compile(
    r"\$\$(.{1,1000}?)\$\$|(?<![\\\d$])\$([^$\n]{1,1000})(?<!\\)\$|\\\((.{1,1000}?)\\\)|\\\[(.{1,1000}?)\\\]", re.DOTALL
)
_LISTED = re.compile(r"\s{0,9}(?:,|and|or|,\s{0,9}and)\s{0,9}")
_PROSE = re.compile(r"[^\W\d_]+[',]?[^\S\n]+(?!=)")
_END = re.compile(r"\.(?=\s|$)|\n")
_verdicts: dict[tuple[str, str], bool] = {}  # by (right answer, answer)


def gold_of(doc: Mapping[str, Any]) -> str:
    """Return the right answer of an item: its `answer`, or else the content of the last LaTeX box in its `solution`.

    Raises EvalError if the item has neither.
    """
    found = str(doc["answer"]) if doc.get("answer") not in (None, "") else boxed(str(doc.get("solution") or ""))
    if not found:
        raise EvalError(
            f"an item of MATH has neither `answer` nor a \\boxed{{...}} in `solution`; it has {', '.join(doc)}"
        )
    return boxed(found) or found


def answer_of(reply: str) -> str | None:
    """Return the expression that the reply states in the requested form; None if there is none."""
    return boxed(spoken(reply))


def answers_of(replies: Iterable[Sequence[str]], docs: Sequence[Mapping[str, Any]]) -> list[list[str | None]]:
    """Return the expression that each reply of each item states; None for a reply without one.

    lm-eval calls this function as a `custom` filter. The function also judges all expressions together, so that `judge`
    knows their verdicts.
    """
    found = [[answer_of(reply) for reply in several] for several in replies]
    equal_all(
        [(gold_of(doc), answer) for several, doc in zip(found, docs, strict=True) for answer in several if answer]
    )
    return found


def judge(doc: Mapping[str, Any], results: Sequence[str | None]) -> dict[str, float]:
    """Return an item's metrics. lm-eval calls this function as `process_results`.

    `math_verify`: whether the expression is right.
    `no_answer`: whether the reply has no expression.
    """
    answer = results[0]
    if answer is None:
        return {"math_verify": 0.0, "no_answer": 1.0}
    return {"math_verify": float(equal_all([(gold_of(doc), answer)])[0]), "no_answer": 0.0}


def equal_all(pairs: Sequence[tuple[str, str]]) -> list[bool]:
    """Return, for each (right answer, answer), whether the two are equal.

    Each pair is judged only once in this process.
    """
    for gold, answer in pairs:
        if _plain(gold) == _plain(answer):
            _verdicts[gold, answer] = True
        elif len(answer) > _LONGEST:
            _verdicts[gold, answer] = False
    due = sorted({pair for pair in pairs if pair not in _verdicts})
    verdicts = mathjudge.equal_all([(_wrapped(gold), _wrapped(answer)) for gold, answer in due])
    _verdicts.update(zip(due, verdicts, strict=True))
    return [_verdicts[pair] for pair in pairs]


def stated(reply: str) -> str | None:
    """Return the expression that the tolerant rules find in a reply, in LaTeX or plain text; None if there is none."""
    text = conclusion(reply)
    found = boxed(text)
    for rest, bare in announced(text) if not found else ():
        working = bare and _PROSE.match(rest) and re.search(r"[\d$\\]", clause(rest)) and not alone(rest)
        found = found or (_mentioned(rest) if working else _said(rest))
    return found if found or refuses(text) else _mentioned(text)


def _mentioned(text: str) -> str | None:
    weighty = [words for words in bold(text) if re.search(r"[\d$\\]", words)]
    return (_bare(weighty[-1]) if weighty else None) or _formula(text) or number.last_in(text)


def _said(rest: str) -> str | None:
    words = _END.split(rest.strip()[:_LONGEST], maxsplit=1)[0]
    if words.count("$") == 1 or words.rstrip().endswith(("\\[", "$$")) or ("\\[" in words and "\\]" not in words):
        words = rest.strip()[:_LONGEST]  # a formula on separate lines
    found = _formulas(words)
    begun = _FORMULA.match(words.lstrip(" \t\n*_:"))
    return (found[0 if begun else -1] if found else None) or _bare(_DENIED.sub("", words))


def _formula(text: str) -> str | None:
    """Return the last formula of a text; None if there is none."""
    found = _formulas(text)
    return found[-1] if found else None


def _formulas(text: str) -> list[str]:
    """Return the formulas in order. Formulas separated only by commas, "and" or "or" count as one."""
    groups: list[list[str]] = []
    end = -1
    for match in _FORMULA.finditer(text):
        if groups and _LISTED.fullmatch(text[end : match.start()]):
            groups[-1].append(_bare(match[0]) or "")
        else:
            groups.append([_bare(match[0]) or ""])
        end = match.end()
    return [joined for group in groups if (joined := ", ".join(filter(None, group)))]


def _bare(words: str) -> str | None:
    """Return the text without emphasis marks and without the punctuation at its end.

    Of a text with a formula, return the formula alone.
    """
    formula = _FORMULA.search(words)
    inner = next(filter(None, formula.groups()), words) if formula else words
    return inner.strip().strip("*_").rstrip(".,;:!").strip() or None


def _plain(expression: str) -> str:
    """Return a normal form: expressions with the same form are equal and need no parsing.

    MATH's own comparison drops these marks, too.
    """
    text = "".join(expression.split()).replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    for mark in ("\\left", "\\right", "\\!", "\\,", "\\$", "$", "\\%", "%"):
        text = text.replace(mark, "")
    return text.removesuffix(".")


def _wrapped(expression: str) -> str:
    return f"\\boxed{{{expression}}}"
