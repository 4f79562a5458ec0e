"""PURE: the number that a reply states (GSM8K, and those tasks of BBH and the closed world whose answers are numbers).

The rules, first to last; the first that finds a number decides:

    marker     the number right after the last "####" that is no heading ("#### 2. Money"); with words after the number, `boxed` and
               `stated` go first where they find one further down
    boxed      the number in the last \\boxed{...}
    stated     of the last "answer is ...", "Answer: ..." that holds one: the number after its last "=", else its first number;
               after a bare "Answer:" that no number follows at once: the last of its paragraph, where that is one sentence, else
               what the rules from `bold` on find after it
    bold       the last number in bold
    last       the last number of the reply, unless the reply declines to answer

"The answer is 3 or 4", or as the last words with a number "... 3 or 4", names two: no answer. A number may have a sign, a currency,
thousands in commas, decimals, a unit or per cent sign (dropped), LaTeX around it, or be a fraction a/b or \\frac{a}{b}; words
("seven") are not read.
"""

from __future__ import annotations

import re
from fractions import Fraction

from eval.phrases import AMBIGUOUS, Found, alone, announced, bold, boxed, clause, conclusion, refuses, sentences, settled

_FRACTION = re.compile(r"\\[dt]?frac\s{0,3}\{\s{0,3}(-?[\d.,]{1,40})\s{0,3}\}\s{0,3}\{\s{0,3}(-?[\d.,]{1,40})\s{0,3}\}")
_LATEX = (("\\$", "$"), ("{,}", ","), ("\\!", ""), ("\\,", ""), ("\\%", "%"), ("−", "-"), ("\\left", ""), ("\\right", ""))
_NUMBER = re.compile(
    r"(?<![\w.\\])(?:(?<![)\]}%])(?P<sign>-)\s?)?(?:[$€£¥]\s?)?(?P<inner>-)?"
    r"(?P<whole>\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?P<decimals>(?<=\d)\.\d+|(?<!\d)\.\d+)?"
    r"(?:(?<=\d)\s?/\s?(?P<below>\d+)(?![\d/]))?"
)
_EITHER = re.compile(r"\d[^\d\n]{0,20}\bor\b[^\d\n]{0,20}\d", re.IGNORECASE)
_UNDECIDED = re.compile(r"\d[^\d\n]{0,20}\bor\b(?! (?:more|less|fewer|so)\b)[^\d\n]{0,20}\d[\d,./]*[^\d]*\Z", re.IGNORECASE)
_MARKER = re.compile(r"####(?!#)([^\n#]*)")
_AT_ONCE = re.compile(r"(?:[^\W\d]\w{0,20}\s{0,3}=(?!=))?[\s*_`$€£¥(\\−-]{0,12}(?:[dt]?frac\s{0,3}\{\s{0,3}-?)?\.?\d")
_HEADING = re.compile(r"[\s*_`]{0,9}\d{1,3}(?:(?:[.):]|\s{0,2}[-–—])[\s*_`]{1,9}[^\W\d]|(?:st|nd|rd|th)\b)")
_DIGITS = 40  # longer ones are no answer


def stated(reply: str) -> str | None:
    """The number that the reply states, as plain text ("-1234.5", "3/4"); None where it states none."""
    text = conclusion(reply)
    return settled(_marked(text) or _concluded(text) or _mentioned(text))


def same(answer: str, gold: str) -> bool:
    """Whether the two are the same number: "18" and "18.00" are, "50" and "0.5" are not."""
    mine, right = value(answer), value(gold)
    return mine is not None and mine == right


def value(text: str) -> Fraction | None:
    """The one number that `text` holds, a unit or so around it; None where it holds none. Of a GSM8K solution: after its "####"."""
    found = last_in(text.rpartition("####")[2])
    if found is None:
        return None
    above, _, below = found.partition("/")
    return Fraction(above) / Fraction(below) if below else Fraction(above)


def last_in(text: str) -> str | None:
    """The last number in `text`."""
    found = all_in(text)
    return found[-1] if found else None


def all_in(text: str) -> list[str]:
    """The numbers in `text`, in order, as plain text."""
    for mark, plain in _LATEX:
        text = text.replace(mark, plain)
    text = _FRACTION.sub(r"\1/\2", text)
    found = []
    for match in _NUMBER.finditer(text):
        whole, decimals, below = match["whole"] or "", match["decimals"] or "", match["below"]
        if not whole + decimals or max(len(whole), len(decimals), len(below or "")) > _DIGITS:
            continue
        sign = "-" if match["sign"] or match["inner"] else ""
        number = sign + (whole.replace(",", "") or "0") + decimals
        found.append(f"{number}/{below}" if below and int(below) else number)
    return found


def _marked(text: str) -> Found:
    for mark in reversed(list(_MARKER.finditer(text))):
        if _AT_ONCE.match(mark[1]) and not _HEADING.match(mark[1]):
            worded = re.search(r"[^\W\d_]", mark[1])
            return (_concluded(text[mark.end() :]) if worded else None) or _of_clause(mark[1])
    return None


def _concluded(text: str) -> Found:
    found: Found = last_in(boxed(text) or "")
    for rest, bare in announced(text) if not found else ():
        if bare and not _AT_ONCE.match(rest):
            found = found or (_last_said(clause(rest)) if alone(rest) else _mentioned(rest))
        else:
            found = found or _of_clause(clause(rest))
    return found


def _mentioned(text: str) -> Found:
    for words in bold(text)[::-1]:
        if found := last_in(words):
            return found
    return None if refuses(text) else _last_said(text)


def _last_said(text: str) -> Found:
    last = next((said for said in reversed(sentences(text)) if re.search(r"\d", said)), "")
    return AMBIGUOUS if _UNDECIDED.search(last[-2000:]) else last_in(text)


def _of_clause(words: str) -> Found:
    if _EITHER.search(words):
        return AMBIGUOUS
    _, equals, after = words.rpartition("=")
    result = all_in(after) if equals else []
    found = result or all_in(words)
    return found[0] if found else None
