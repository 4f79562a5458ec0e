r"""PURE: reads the number that a reply states (GSM8K, and tasks of BBH and the closed world whose answers are numbers).

numerals.py defines the notation of numbers. The first rule that finds a number decides:

    corrected  the result of the rules below for the text after the last correction ("wait", "no,", "I made a mistake" ...)
    marker     the number right after the last "####", unless the line is a heading ("#### 2. Money"). If words follow
               the number, a number that `boxed` or `stated` finds further down takes precedence.
    boxed      the number in the last \boxed{...}
    stated     the text after the last "answer is ...", "Answer: ..." with a number: the result of the calculation in it
               (which can continue on the next lines), else its first number. If no number comes right after a bare
               "Answer:": the number of the next paragraph, or by the rules from `bold` on if that has several sentences
    begins     the number that is alone on the first line, with or without a unit, if words follow on later lines
    bold       the last number in bold
    last       the number in the last sentence with a number, unless the reply declines to answer. The rule skips an
               explanation after a one-sentence answer, and sentences that comment on the number before them ("This
               covers all 16 glasses").

The number of a sentence with "=" is the first number after its last "=". If a later clause has a number, too, only that
clause is read, like a sentence without "=". The number of a sentence without "=" is the last number that is not in
brackets, not denied ("not 15"), not a reason ("since ...") and not incidental ("for 16 glasses", "in 3 days", "at $5
each"); prices take precedence. Times, ordinals, and numbers of steps and lists are not answers. "3 or 4", "10 to 15"
and "between 3 and 4" name two numbers, so there is no answer. Number words count only if there are no digits.
"""

from __future__ import annotations

import re
from fractions import Fraction

from gra.eval.scoring import numerals
from gra.eval.scoring.numerals import Numeral, plain
from gra.eval.scoring.phrases import (
    AMBIGUOUS,
    CORRECTED,
    Found,
    alone,
    announced,
    bold,
    boxed,
    clause,
    conclusion,
    refuses,
    sentences,
    settled,
    worded,
)

_I = re.IGNORECASE
_MARKER = re.compile(r"####(?!#)([^\n#]*)")
_AT_ONCE = re.compile(r"(?:[^\W\d]\w{0,20}\s{0,3}=(?!=))?[\s*_`$€£¥(\\−-]{0,12}(?:[dt]?frac\s{0,3}\{\s{0,3}-?)?\.?\d")
_HEADING = re.compile(r"[\s*_`]{0,9}\d{1,3}(?:(?:[.):]|\s{0,2}[-–—])[\s*_`]{1,9}[^\W\d]|(?:st|nd|rd|th)\b)")
_NO_ANSWER = re.compile(  # numbers that only count or name something
    r"\b\d{1,2}:\d{2}(?::\d{2})?(?:\s?[ap]\.?m\b)?|\b\d{1,3}(?:st|nd|rd|th)\b|"
    + worded(
        r"(?:step|question|problem|part|case|example|equation|eq|figure|method|exercise|section|chapter|scenario|"
        r"approach|rule|option)s? #?\d+"
    ),
    _I,
)
_ENUMERATED = re.compile(r"^[ \t*_#>-]{0,9}\d{1,2}[.)](?=[ \t*_]{1,4}\S)", re.MULTILINE)
_ASIDE = re.compile(r"\([^()\n]{0,200}\)")
_DENIED = re.compile(
    worded("not", "rather than", "instead of", "isn't", "wasn't") + r"\s+(?:\w+\s+){0,2}?[$€£]?\s?\d[\d.,/]*", _I
)
_REASON = re.compile(
    r"(?<=\w)[,;]?\s+(?:"
    + worded(
        "because", "since", "given that", "assuming", "due to", "considering", "as (?:he|she|it|they|there|each|the|we)"
    )
    + ")",
    _I,
)
_BESIDE = re.compile(  # a number after one of these words is not a result
    worded(
        "for",
        "in",
        "of(?= (?:the|her|his|their|these|those|all|my|its|your|our))",
        "at",
        "with",
        "from",
        "after",
        "over",
        "within",
        "by",
        "per",
        "across",
        "during",
        "every",
        "each",
        "than",
        "on",
        "until",
        "under",
        "above",
        "below",
        "before",
        "among",
        "into",
        "using",
        "out of",
        "when",
        "if",
        "last",
    )
    + r"\s*(?:(?:the|her|his|their|these|those|all|only|about|just|a|an|each|every|another|first|next|last|remaining|other|"
    r"of|my|its|your|our|\w+ing)\s+){0,3}\Z" + r"|[A-Za-z]['’]s\s+\Z",
    _I,
)
_SOLD = re.compile(
    worded(r"s(?:ell|old)\w*", r"earn\w*", r"charg\w+", "for a total(?: of)?", "total of") + r"[^.\n]{0,60}\Z", _I
)
_FOR = re.compile(r"\bfor\s*(?:a total of\s*)?\Z", _I)
_RANGE = re.compile(
    r"\bbetween\s+[$€£]?\d[\d.,]*\s*(?:\w+\s+)?and\s+[$€£]?\d|"
    r"(?<!from )(?<!\d)(?<![\d.,/$-])[$€£]?\d[\d,]*(?:\.\d+)?\s?(?:[-–—]|\s(?:to|"
    r"through)\s)\s?[$€£]?\d[\d,]*(?![\d-])(?!\s?[-+*/×=])",
    _I,
)
_EITHER = re.compile(
    r"(?P<one>\d[\d.,/]*)(?P<unit>[^\d\n.;]{0,20})(?P<comma>,?)\s*\bor\b(?! (?:more|less|fewer|so|greater|"
    r"above|below|older)\b)[^\d\n.;]{0,20}\d",
    _I,
)
_NEXT_CLAUSE = re.compile(
    r"[,;]\s+(?=(?:so|and so|which|that|therefore|thus|hence|she|he|they|we|it|there|the|for a total|"
    r"leaving|making|giving|meaning)\b)",
    _I,
)
_EXPLAINS = re.compile(
    r"^\W{0,6}(?:"
    + worded(
        "explanation",
        "reasoning",
        "here(?:'s| is) (?:why|how|the)",
        "note",
        "because",
        "why",
        "how",
        "check",
        "verification",
        "proof",
        "working",
        "work",
        "this (?:is because|follows|assumes|comes)",
        "justification",
        "details",
        "breakdown",
        "to (?:verify|check|see)",
        "for reference",
        "calculation",
        "steps?",
        "solution",
    )
    + ")",
    _I | re.MULTILINE,
)
_COMMENTS = re.compile(  # a sentence that explains the previous number
    r"\W{0,6}"
    + worded(
        r"(?:this|that|it|these|those)(?: (?:total|sum|amount|answer|result|price|cost|number|figure))?(?: (?:also|already|only))?"
        r" (?:"
        r"(?:cover|include|exclude|account|reflect|assume|comprise)s?|takes? into account|(?:consist|come|follow)s? (?:of|from)|"
        r"(?:is|are) (?:for|because|made up of|based on))",
    ),
    _I,
)
_STATES = re.compile(
    r"=|\b(?:is|are|be|was|makes?|gets?|has|have|needs?|costs?|earns?|pays?|total|so|therefore|thus|meant|"
    r"gives?|left|should|answer)\b|['’]s\b|\bno\b|####|boxed",
    _I,
)
_ALONE = re.compile(r"\W{0,6}[$€£¥]?\s?-?[\d.,/]+\s?%?(?:\s+[^\W\d]+){0,2}\W{0,6}\Z")
_CONTINUES = re.compile(r"[\s*_]{0,6}(?:[-+*/×÷=]|\d[\d.,]{0,20}\s{0,3}(?:[-+*/×÷=]|\Z))")


def stated(reply: str) -> str | None:
    """Return the number that the tolerant rules find in a reply, as text ("-1234.5", "3/4"); None if there is none."""
    text = plain(conclusion(reply))
    cuts = [mark.end() for mark in CORRECTED.finditer(text)][-20:]
    for cut in reversed(cuts):
        if _STATES.search(text[cut:]) or _ALONE.match(text[cut:].strip().partition("\n")[0].partition(",")[0]):
            found = _read(text[cut:].lstrip(" \t.,:;!…-–—"), after=True)
            if found is not None:
                return settled(found)
    return settled(_read(text))


def same(answer: str, gold: str) -> bool:
    """Return whether two texts state the same number.

    "18" and "18.00" are the same number, "50" and "0.5" are not.
    """
    mine, right = value(answer), value(gold)
    return mine is not None and mine == right


def value(text: str) -> Fraction | None:
    """Return the value of the last number in `text`, ignoring a unit after it; None if there is no number.

    If `text` has a "####" (a GSM8K solution), only the text after the last "####" is read.
    """
    return numerals.value(text.rpartition("####")[2])


def last_in(text: str) -> str | None:
    """Return the last number in `text`, regardless of its meaning."""
    found = numerals.numerals(plain(text))
    return found[-1].text if found else None


def _read(text: str, after: bool = False) -> Found:
    """Return the number by the rules from `marker` on.

    `after`: the text follows a correction, so an earlier refusal does not apply.
    """
    return _marked(text) or _concluded(text) or _begun(text) or _mentioned(text, after)


def _marked(text: str) -> Found:
    for mark in reversed(list(_MARKER.finditer(text))):
        if _AT_ONCE.match(mark[1]) and not _HEADING.match(mark[1]):
            words = re.search(r"[^\W\d_]", mark[1])
            return (_concluded(text[mark.end() :]) if words else None) or _of_clause(plain(mark[1]))
    return None


def _concluded(text: str) -> Found:
    found: Found = last_in(boxed(text) or "")
    for rest, bare in announced(text) if not found else ():
        if bare and not _AT_ONCE.match(rest):
            found = found or (_given(clause(rest)) if alone(rest) else _mentioned(rest))
        else:
            found = found or _of_clause(_calculated(plain(rest)))
    return found


def _begun(text: str) -> Found:
    first, _, more = text.strip().partition("\n")
    if not _ALONE.match(first) or not re.search(r"[^\W\d_]{3}", more) or _CONTINUES.match(more.lstrip("\n")):
        return None
    found = numerals.numerals(plain(first))
    return found[0].text if found else None


def _mentioned(text: str, after: bool = False) -> Found:
    masked = _masked(text)
    explained = _EXPLAINS.search(masked, 1)
    if explained is not None and re.search(r"\d", masked[: explained.start()]) and alone(masked[: explained.start()]):
        masked = masked[: explained.start()]
    for words in bold(masked)[::-1]:
        found = _given(words)
        if found and (len(words) < 40 or isinstance(found, str)) and re.search(r"\d", words):
            return found
    if refuses(text) and not after:
        return None
    said = sentences(masked)
    numbered = [sentence for sentence in said if re.search(r"\d", sentence)]
    if numbered:
        last = next((sentence for sentence in reversed(numbered) if not _COMMENTS.match(sentence)), numbered[-1])
        return _given(last[-2000:])
    spelt = next((several for sentence in reversed(said) if (several := numerals.worded(sentence[-2000:]))), None)
    return _chosen("", spelt) if spelt else None


def _masked(text: str) -> str:
    """Return the text with numbers that are not answers replaced by blanks."""
    text = _NO_ANSWER.sub(lambda match: " " * len(match[0]), text)
    if any(re.search(r"\b1[.)]", mark[0]) for mark in _ENUMERATED.finditer(text)):
        text = _ENUMERATED.sub(lambda match: " " * len(match[0]), text)
    return text


def _calculated(rest: str) -> str:
    """Return the first sentence of `rest`, the text after an announcement.

    If it calculates, return the last line of the calculation.
    """
    lines = [line for line in rest.strip().splitlines() if line.strip()]
    if lines and "=" in lines[0]:
        count = next((place for place, line in enumerate(lines) if "=" not in line), len(lines))
        return clause(lines[count - 1]) if count > 1 else clause(rest)
    return clause(rest)


def _of_clause(words: str) -> Found:
    """Return the number announced by "answer is": the result of a calculation, or else the first number."""
    words = plain(words)
    if _undecided(words):
        return AMBIGUOUS
    if "=" in words or not re.match(r"\W{0,12}\d", words):
        return _given(words)
    found = numerals.numerals(words)
    return found[0].text if found else None


def _given(sentence: str) -> Found:
    """Return the number of a sentence, as the module's docstring defines it; AMBIGUOUS if the sentence names two."""
    text = plain(sentence)
    outside = _ASIDE.sub(lambda match: " " * len(match[0]), text)
    text = outside if re.search(r"\d", outside) or (numerals.worded(outside) and not re.search(r"\d", text)) else text
    denied = _DENIED.sub(lambda match: " " * len(match[0]), text)
    text = denied if re.search(r"\d", denied) else text
    reason = next((mark for mark in _REASON.finditer(text) if re.search(r"\d", text[: mark.start()])), None)
    text = text[: reason.start()] if reason else text
    if "=" in text:
        text, result = text.rpartition("=")[::2]
        found = numerals.numerals(result)
        later = [piece for piece in _NEXT_CLAUSE.split(result)[1:] if numerals.numerals(piece)]
        if found and not later:
            return AMBIGUOUS if _undecided(result) else found[0].text
        text = later[-1] if later else text
    if _undecided(text):
        return AMBIGUOUS
    found = numerals.numerals(text) or numerals.worded(text)
    return _chosen(text, found)


def _undecided(text: str) -> bool:
    """Return whether a text ends in several answers: "3 or 4", "10 to 15"."""
    text = text[-2000:]
    for mark in [*_RANGE.finditer(text), *_EITHER.finditer(text)]:
        found = numerals.numerals(text)
        inside = [each for each in found if each.start >= mark.start()]
        if len(inside) < 2 or len(inside) > 2:
            continue
        if numerals.value(inside[0].text) == numerals.value(inside[1].text):
            continue
        if mark.re is _EITHER and (mark["comma"] or mark["unit"].rstrip().endswith(",")):
            continue
        return True
    return False


def _chosen(text: str, found: list[Numeral]) -> Found:
    if not found:
        return None
    results = [
        each
        for each in found
        if _is_price_for(text, each) or not _BESIDE.search(text, max(0, each.start - 60), each.start)
    ]
    prices = [each for each in results if each.price]
    return (prices or results or found)[-1].text


def _is_price_for(text: str, each: Numeral) -> bool:
    """Return whether the number is the price for which something was sold."""
    before = text[max(0, each.start - 60) : each.start]
    sold = _FOR.search(before)
    return each.price and sold is not None and _SOLD.search(before[: sold.start()]) is not None
