r"""PURE: finds the numbers in a text and their values.

It recognises signs; currencies (`Numeral.price`); thousands separated by commas, points, spaces, underscores or
apostrophes; decimal points and commas; fractions a/b, \frac{a}{b}, mixed numbers (3 1/2) and fractions in one character
(½); powers of ten (1.5e6, 3 x 10^8); "million", "dozen", "k"; digits of other scripts; and English number words. Units
and per cent signs are dropped. A number can be next to a letter of another script ("共18元"), but not next to a Latin
letter ("x18").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_DIGITS = 40  # longer numbers are not answers
_FRACTION = re.compile(r"\\[dt]?frac\s{0,3}\{\s{0,3}(-?[\d.,]{1,40})\s{0,3}\}\s{0,3}\{\s{0,3}(-?[\d.,]{1,40})\s{0,3}\}")
_LATEX = (
    ("\\$", "$"),
    ("{,}", ","),
    ("\\!", ""),
    ("\\,", ""),
    ("\\%", "%"),
    ("−", "-"),
    ("\\left", ""),
    ("\\right", ""),
    ("\\times", "×"),
    ("\\cdot", "×"),
    ("\\approx", "="),
    ("≈", "="),
    ("\\(", " "),
    ("\\)", " "),
    ("\\[", " "),
    ("\\]", " "),
    ("\u00a0", " "),
    ("\u202f", " "),
    ("\u2009", " "),
    ("½", " 1/2"),
    ("¼", " 1/4"),
    ("¾", " 3/4"),
    ("⅓", " 1/3"),
    ("⅔", " 2/3"),
)
_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s?\{([^{}]{0,80})\}")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_POWER = re.compile(r"(10)([⁻⁰¹²³⁴-⁹]{1,4})")
_BARE_POWER = re.compile(r"(?<![\w.×*·])(?<![\d×*·] )(?<!\d x )10\s?\^\s?\{?(\d{1,2})\}?")
_MINUS = re.compile(r"(?<![\d)%] )\b(?:minus|negative)[ \t]{1,3}(?=[$€£]?\d)", re.IGNORECASE)
_SCALES = {
    "hundred": 100,
    "thousand": 1000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
    "k": 1000,
    "mn": 10**6,
    "bn": 10**9,
    "lakh": 10**5,
    "crore": 10**7,
    "万": 10**4,
    "萬": 10**4,
    "亿": 10**8,
    "億": 10**8,
    "m": 10**6,
}
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.\\^])(?:(?<![)\]}%])(?P<sign>-)\s?)?(?P<currency>(?:US|AU|C|A)?[$€£¥₹]\s?)?(?P<inner>-)?"
    r"(?:(?P<whole>\d{1,3}(?:,\d{2,3}){0,9},\d{3}(?!\d)|\d{1,3}(?:\.\d{3})+(?=,\d{1,2}(?!\d))|\d{1,3}(?:\.\d{3}){2,}(?![\d.]\d)|"
    r"\d{1,3}(?:[ '’]\d{3})+(?![\d'])|\d{1,3}(?:_\d{3})+(?![\d_])|\d+)?"
    r"(?P<decimals>(?<=\d)[.]\d+|(?<!\d)\.\d+|(?<=\d),\d{1,2}(?![\d,]))?)"
    r"(?:(?<=\d)(?:[eE](?P<e>[+-]?\d{1,2})(?![\w])|\s?[×x*·]\s?10\s?(?:\^|\*\*)\s?\{?(?P<ten>[+-]?\d{1,2})\}?))?"
    r"(?:(?<=\d)(?P<upper>\s\d{1,9})?\s?/\s?(?P<below>\d+)(?![\d/]))?"
    r"(?:(?<=\d)(?:[\s-]?(?P<scale>hundred|thousand|million|billion|trillion|dozen|lakh|crore|mn|bn)\b|(?P<short>[kKM])(?![A-Za-z])|(?P<cjk>[万萬亿億])))?"
    r"(?P<after>(?<=[\da-z])\s?(?:dollars?|euros?|pounds?|cents?|USD|[€£元])(?![A-Za-z]))?",
)
_UNITS = dict(
    zip(
        """
            zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
            seventeen eighteen nineteen
        """.split(),
        range(20),
        strict=True,
    )
)
_TENS = dict(
    zip(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], range(20, 100, 10), strict=True)
)
_WORD = "|".join(sorted([*_UNITS, *_TENS, "hundred", "thousand", "million", "billion", "dozen"], key=len, reverse=True))
_WORDS = re.compile(
    rf"\b(?:half[ \t]+a[ \t]+dozen|(?:an?[ \t]+)?(?:{_WORD})(?:(?:[ \t]+|-)(?:and[ \t]+)?(?:{_WORD}))*)\b",
    re.IGNORECASE,
)
_LINK = re.compile(r"(?:\b(?:is|are|be|equals)|[=:])[\s*_\"'`]{1,6}\Z", re.IGNORECASE)
_ENDS = re.compile(r"[\s*_\"'`)]{0,6}(?:[.!]|\Z|\n)")


@dataclass(frozen=True)
class Numeral:
    """A number found in a text, from position `start` to position `end`.

    `text`: the number in plain form ("-1234.5", "3/4").
    `price`: whether it is an amount of money.
    """

    start: int
    end: int
    text: str
    price: bool = False


def plain(text: str) -> str:
    """Return the text with plain characters in place of LaTeX commands and of unusual characters in numbers."""
    text = _TEXT.sub(r" \1 ", text)
    for mark, instead in _LATEX:
        text = text.replace(mark, instead)
    text = _POWER.sub(lambda match: f"10^{match[2].translate(_SUPERSCRIPTS)}", text)
    text = "".join(chr(ord("0") + int(sign)) if sign.isdecimal() and not sign.isascii() else sign for sign in text)
    text = _MINUS.sub("-", _BARE_POWER.sub(r"1e\1", text))
    return _FRACTION.sub(r"\1/\2", text)


def numerals(text: str) -> list[Numeral]:
    """Return the numbers in a plain text, in order."""
    found = []
    for match in _NUMBER.finditer(text):
        written = _written(match)
        if written is not None:
            found.append(Numeral(match.start(), match.end(), written, bool(match["currency"] or match["after"])))
    return found


def worded(text: str) -> list[Numeral]:
    """Return the numbers that are written in words, in order.

    The word "one" alone counts only at the end of a sentence such as "The answer is one".
    """
    found = []
    for match in _WORDS.finditer(text):
        value, word = _spelt(match[0].casefold()), match[0].casefold()
        one = (
            word == "one"
            and _ENDS.match(text, match.end())
            and _LINK.search(text, max(0, match.start() - 20), match.start())
        )
        if value is not None and (one or word not in ("one", "hundred", "thousand", "million", "billion", "dozen")):
            found.append(Numeral(match.start(), match.end(), str(value)))
    return found


def value(text: str) -> Fraction | None:
    """Return the value of the last number in `text`; None if there is none."""
    found = numerals(plain(text))
    if not found:
        return None
    above, _, below = found[-1].text.partition("/")
    return Fraction(above) / Fraction(below) if below else Fraction(above)


def _written(match: re.Match[str]) -> str | None:
    whole, decimals = re.sub(r"[,.' ’_]", "", match["whole"] or ""), (match["decimals"] or "").replace(",", ".")
    below, upper = match["below"], match["upper"]
    if not whole + decimals or max(len(whole), len(decimals), len(below or "")) > _DIGITS:
        return None
    sign = "-" if match["sign"] or match["inner"] else ""
    number = sign + (whole or "0") + decimals
    exponent = match["e"] or match["ten"]
    short = match["short"] if match["short"] != "M" or match["currency"] else None
    scale = _SCALES.get((match["scale"] or short or match["cjk"] or "").casefold(), 1)
    if below and int(below):
        if upper:
            above = abs(int(whole or 0)) * int(below) + int(upper)
            return f"{sign}{above}/{below}"
        return f"{number}/{below}"
    if exponent or scale != 1:
        return _decimal(Fraction(number) * Fraction(10) ** int(exponent or 0) * scale)
    return number


def _decimal(number: Fraction) -> str:
    if number.denominator == 1:
        return str(number.numerator)
    text = f"{float(number):.12f}".rstrip("0")
    return text if Fraction(text) == number else f"{number.numerator}/{number.denominator}"


def _spelt(words: str) -> int | None:
    """Return the value of number words."""
    if words.startswith("half"):
        return 6
    total = current = 0
    for word in re.split(r"[\s-]+", words):
        if word in ("and", "a", "an"):
            current += word != "and"
        elif word in ("hundred", "dozen"):
            current = max(current, 1) * _SCALES[word]
        elif word in ("thousand", "million", "billion"):
            total, current = total + max(current, 1) * _SCALES[word], 0
        else:
            current += _UNITS.get(word, _TENS.get(word, 0))
    return total + current
