"""PURE: finds the parts of a reply in which an answer of any kind can be stated, for the tolerant rules.

A hostile reply must not keep the search busy. Every pattern therefore takes linear time (bounded gaps, no nested
repeats), and only the last `LONGEST` characters are read, because answers are at the end.
"""

from __future__ import annotations

import re
from typing import Final

from gra.eval.scoring.thoughts import spoken

LONGEST = 40_000  # characters; 4096 tokens of prose have about 16,000

_OPEN = re.compile(r"\\f?boxed\s{0,3}\{|\\.|[{}]", re.DOTALL)
_ANSWER = re.compile(
    r"\b(?:answer|(?:correct|right|best|final)[ \t]+(?:option|choice|ending|letter|result|sequence|order))\b"
    r"[^\n.!?:=]{0,60}?(?:\b(?:is|are|would be|should be|must be)\b|[:=]|[*_ \t]{0,8}\n)(?!\s{0,8}(?:\*\*)?not\b)[\s:*_#]*",
    re.IGNORECASE,
)
_CHOOSE = re.compile(
    r"\bI(?:'d|’d|[ \t]+would|[ \t]+will)?[ \t]+(?:choose|pick|select|go[ \t]+with)\b[\s:*_]*", re.IGNORECASE
)
_VERB = re.compile(r"\b(?:is|are|be|choose|pick|select|go)\b", re.IGNORECASE)
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_BOLD = re.compile(r"\*\*([^*\n]{1,300})\*\*|__([^_\n]{1,300})__")
_SENTENCE = re.compile(r"[.!?][*_\"')\]]{0,4}(?:\s+|$)|\n+")


def worded(*phrases: str) -> str:
    """Return a regular expression that matches any of `phrases` as whole words.

    The phrases can themselves contain regular expressions. The result accepts any number of blanks between words and
    both kinds of apostrophe.
    """
    return r"\b(?:" + "|".join(phrase.replace("'", "['’]").replace(" ", r"[ \t]+") for phrase in phrases) + r")(?!\w)"


_REFUSAL = re.compile(
    worded(
        r"(?:I|we)(?: am|'m| are|'re)? (?:not able to|unable to|cannot|can't|can not|could not|couldn't|do not know|"
        r"don't know|do not have|"
        r"don't have|won't|will not|would rather not|decline|refuse|must decline|have no (?:idea|answer|way))"
        r"(?! (?:believe|help|wait|stress|emphasi[sz]e|deny|complain|argue))",
        r"(?:cannot|can't|impossible to) (?:be )?(?:answer|determin|say|tell|decid|solve)\w*",
        r"(?:not enough|insufficient|no) information",
        r"as an AI",
    )
    + r"|\bI(?: am|['’]m) (?:sorry|afraid)[ \t]*[.!]?\s*\Z",
    re.IGNORECASE,
)
CORRECTED = re.compile(  # a correction: statements before it no longer hold
    worded(
        "wait",
        "hold on",
        "hang on",
        "scratch that",
        "strike that",
        "correction",
        "corrected",
        "oops",
        "whoops",
        "my mistake",
        "my bad",
        "actually",
        "on second thoughts?",
        "on reflection",
        "on (?:a )?closer (?:look|inspection|reading|examination)",
        "sorry",
        "(?:let me|let's|I'll|I will|I need to|I should|I must|need to) (?:correct|fix|revise|reconsider|rethink|redo)",
        "I (?:misread|miscounted|misspoke|miscalculated|mistakenly|forgot|overlooked|missed|meant|was wrong|take that back)",
        r"I made an? (?:\w+ ){0,3}(?:mistake|error|slip)",
        "apologies",
        "I apologi[sz]e",
        "change my (?:answer|mind)",
        "(?:that|this|it)(?:'s| is| was) (?:wrong|incorrect|not right|not correct|a mistake|an error|off)",
        "(?:that|this) (?:isn't|wasn't|can't be|cannot be) (?:right|correct)",
        "(?:revised|updated|new) (?:final )?answer",
    )
    + r"|\b(?:hm+|err|uh|um)\b|(?:(?<=[.!?…—–-]\s)|^)no\b[ \t]*[,.—–:…-]",
    re.IGNORECASE | re.MULTILINE,
)
CHECKED = re.compile(  # an announced check: statements before it can still be changed
    worded(
        r"(?:let me|let's|I'll|I will) (?:re-?|double[- ]?)?(?:check|verify|examine|count|calculate|compute|"
        r"read)\w*(?: again)?"
    ),
    re.IGNORECASE,
)


class _Ambiguous:
    """The result of a rule if a reply names several answers at once. After this result, later rules must not guess."""


AMBIGUOUS: Final = _Ambiguous()
Found = str | _Ambiguous | None


def settled(found: Found) -> str | None:
    """Return the answer that a rule found; None if there is none or it is ambiguous."""
    return found if isinstance(found, str) else None


def conclusion(reply: str) -> str:
    """Return the part of the reply in which the rules look for an answer: its last LONGEST characters.

    Reasoning, and text after the end of the model's turn, are removed first (thoughts.py).
    """
    return spoken(reply)[-LONGEST:]


def boxed(text: str) -> str | None:
    r"""Return the content of the last \boxed{...} (or \fbox) whose braces are closed; None if there is none or it is
    empty.
    """
    opened: list[int | None] = []
    last: tuple[int, int] | None = None
    for mark in _OPEN.finditer(text):
        token = mark[0]
        if token[-1] == "{" and len(token) != 2:
            opened.append(mark.end() if len(token) > 1 else None)
        elif token == "}" and opened:
            start = opened.pop()
            if start is not None and (last is None or start > last[0]):
                last = start, mark.start()
    return (text[last[0] : last[1]].strip() or None) if last is not None else None


def statements(text: str) -> list[str]:
    """Return the texts that follow an announcement of an answer, the last text first.

    Announcements are phrases such as "answer is", "Answer:", "correct option is" or "I choose", but not "The answer is
    not". Each text extends to the next announcement.
    """
    return [rest for rest, _ in announced(text)]


def announced(text: str) -> list[tuple[str, bool]]:
    """Return a pair (text, by_heading) for each text that the function `statements` returns.

    `by_heading` is true if only a heading ("Answer:", "### Answer") announces the text, and false if the announcement
    has a verb ("The answer is").

    After a heading, a reply may show calculation steps before it gives the answer.
    """
    marks = sorted([*_ANSWER.finditer(text), *_CHOOSE.finditer(text)], key=lambda mark: mark.start())
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    rests = [text[mark.end() : max(end, mark.end())] for mark, end in zip(marks, ends, strict=False)]
    return [(rest, not _VERB.search(mark[0])) for rest, mark in zip(rests, marks, strict=True)][::-1]


def bold(text: str) -> list[str]:
    """Return the texts in bold, in order."""
    return [(found[1] or found[2]).strip() for found in _BOLD.finditer(text)]


def sentences(text: str) -> list[str]:
    """Return the non-blank sentences and lines of a text, in order, without their final punctuation."""
    return [part for part in map(str.strip, _SENTENCE.split(text)) if part]


def clause(rest: str) -> str:
    """Return the first sentence of `rest`, the text after an announcement; "" if it is blank."""
    return next(iter(sentences(rest)), "")


def alone(rest: str) -> bool:
    """Return whether the first paragraph of `rest`, the text after an announcement, is one sentence."""
    return len(sentences(_PARAGRAPH.split(rest.lstrip(), maxsplit=1)[0])) == 1


def lines(text: str) -> list[str]:
    """Return the non-blank lines, stripped."""
    return [line for line in map(str.strip, text.splitlines()) if line]


def refuses(text: str) -> bool:
    """Return whether the first or last sentence of a text declines to answer.

    In such a text, callers do not take the mere mention of an answer for the answer.
    """
    said = sentences(text)
    return bool(said) and any(_REFUSAL.search(sentence[:400]) for sentence in (said[0], said[-1]))
