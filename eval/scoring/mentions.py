"""PURE: replaces each mention of an option in a reply, whether by its letter or by its text, with one character.

Patterns can then be written for the words around the mention (claims.py). `marked` turns "It's (B), not A or C." into
"It's B°, not A°C°|.". Here B° stands for the private-use character of option B. The sign | stands for the character OR,
which follows options that are joined by "or". Text that only looks like an option's letter stays: an article, the
pronoun "I", "Vitamin C", "the C programming language", "grade A", "25 °C". Mentions joined by "and", "or", a comma or a
slash form one group.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gra.eval.scoring.phrases import worded

LETTER, TEXT = 0xE000, 0xE100  # the first private-use characters for options mentioned by letter and by text
AND, OR, BOX = "\uf000", "\uf001", "\uf002"
ONE: Final = "[\ue000-\ue019\ue100-\ue119]"
GROUP: Final = f"{ONE}+[{AND}{OR}]?"

_QUOTES = "\"'“”„‘’‚«»‹›「」『』（）【】《》〈〉`"
_LEAD = (
    r"(?:\b(?:options?|choices?|letters?|alternatives?|endings?|answer choices?|opción|opciones|lettre|letra|"
    r"buchstabe)[ \t]{1,3}|选项|選項|选|選)"
)
_BARE = re.compile(
    rf"(?P<lead>{_LEAD})?(?P<open>[(\[{{{_QUOTES}]{{0,3}})(?<![A-Za-z0-9°\\])(?<![A-Za-z]\.)(?<![A-Za-z0-9][-'’])"
    rf"(?P<letter>[A-ZＡ-Ｚ])(?![A-Za-z0-9+#])(?!['’][a-z])(?!-[A-Za-z])(?P<close>[)\]}}{_QUOTES}]{{0,3}})",
    re.IGNORECASE,
)
_SMALL = re.compile(
    r"(?<![\w(])[(\[](?P<one>[a-z])[)\]]"
    r"|\b(?:option|choice|answer|letter)(?:[ \t]+is|[ \t]*:)?[ \t]+[\"'(]?(?P<two>[b-hj-z])[\"')]?(?![\w'’-])"
    r"|\A\s*(?P<three>[a-z])[.)]?\s*\Z|\banswer[ \t]*:[ \t]*(?P<four>[a-z])[.)]?[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_LATEX = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mathit|textit|mbox|bf)\s?\{\s{0,3}\(?([A-Za-z])\)?\s{0,3}\}")
_BOX = re.compile(r"\\(?:boxed|fbox)\s?\{")
_WORD_BEFORE = re.compile(r"([^\W_]+)\.?[ \t]+\Z")
_WORD_AFTER = re.compile(r"[ \t]+([^\W\d_]+(?:['’][^\W\d_]+)?)")
_SEPARATOR = (
    r"\s{0,3}(?:,\s{0,3}(?:(?:and|or|nor|&)\b)?|/|&|\+|、|和|或者?|及|与|\b(?:and/or|and|or|nor|as well as|und|oder|et|ou|"
    r"y|vs\.?)\b)"
    r"[ \t]{0,3}(?:(?:also|maybe|possibly|perhaps|even|either|both)\b[ \t]{1,3}){0,2}"
)
_RUN = re.compile(rf"{ONE}(?:{_SEPARATOR}{ONE})+", re.IGNORECASE)
_WORDED = re.compile(r"[^\W\d_]|[/&+、]")
_EITHER = re.compile(r"\b(?:or|nor|oder|ou|vs)\b|/|或", re.IGNORECASE)
_CLOSES = re.compile(r"\s*(?:[.!?)]|\Z|\n|(?:are|all|both|were|can)\b)")
_PAIR = re.compile(rf"(?P<start>^[ \t>|•#-]*)?({ONE})([\s.):,(\-–—=]{{0,5}})({ONE})\)?", re.MULTILINE)
_NUMBER_BEFORE = re.compile(r"\d[ \t°º]{1,3}\Z")
_OPENING = re.compile(r"(?:[.!?:\n]\s*|\A\s*)\Z")  # the position where a sentence starts
_I_ALONE = re.compile(r"\s*(?:[).:*\]}]|$)")
_SPAN = re.compile(rf"({ONE})\s{{0,2}}(?:[-–—]|to|through)\s{{0,2}}({ONE})(?!\s{{0,2}}[-–—])")
_NAMED = frozenset(  # a letter after one of these words is part of a name: "vitamin C", "type B"
    """
        a an vitamin vitamins hepatitis influenza type types plan plans grade grades group groups class classes
        phase stage level point points figure fig table section appendix exhibit team model version series category
        tier zone sector building room floor gate terminal line angle side vertex node set event events matrix
        vector variable variables factor gene allele protein compound substance element company firm country city
        town village person player patient student students mr mrs ms dr agent car train bus box bag urn jar cup
        beaker container machine task project drug strain streptococcus strep note key chord string unit division
        league battery size polio antigen cell cells immunoglobulin coenzyme cytochrome schedule highway route
        street avenue block middle objective ansi standard embedded system planet star sample bottle curve graph
        region area circle triangle square gas liquid metal solution reactant molecule particle planet lane platform
        row column ward district county malaria service customer worker program programs language
    """.split()
)
_NAME_OF = frozenset(  # a letter before one of these words is part of a name: "C programming", "B cells"
    """
        programming language languages compiler code program programs major minor flat sharp cell cells lymphocyte
        lymphocytes student students grade grades average note notes chord string scale strain virus battery
        batteries movie movies section clef list deficiency standard library source vitamin vitamins team league
        sample bomb fragrance horizon street avenue
    """.split()
)
_IN_LANGUAGE = re.compile(
    worded(
        "(?:written|programmed|coded|implemented|developed|programs?|code|coding|programming|key|note|scale|grade|"
        "score[ds]?) (?:in|of|an?)"
    )
    + r"[ \t]+\Z",
    re.IGNORECASE,
)
_VERBS = frozenset(  # "A" before one of these is not an article
    """
        is isn are was were seems seem looks look appears appear fits works work fails remains remain contradicts
        violates mentions describes says states makes matches must can can't cannot could should would will might
        may has have had does doesn't do did didn't isn't aren't wasn't won't wouldn't couldn't shouldn't it and or
        nor not rather instead over but because since as for which given due here in with by that than if when
        though although however so then too also best better correct right wrong false true incorrect out only first
        being represents refers explains supports reflects stands holds comes gives shows uses requires implies
        contains ignores misses satisfies follows leads means captures lists involves relies provides accounts
        aligns ist est es son sind war richtig correcta falsch at to on from vs versus
    """.split()
)
_STRUCK = re.compile(r"~~[^~\n]{0,200}~~")
_LABEL = re.compile(rf"(^[ \t>|•#-]{{0,12}}{ONE})[.)][ \t]{{1,4}}(?=\S)", re.MULTILINE)
_BLANKS = re.compile(r"[ \t\xa0]{2,}")
_EMPHASIS = re.compile(r"\*{1,3}|(?<!\w)_{1,3}|_{1,3}(?!\w)|`|\\[()\[\]]|\$|\\,|</?(?:b|strong|em|i|u)>")


def marked(text: str, count: int, options: Sequence[str] = ()) -> str:
    """Return `text` with each mention of an option replaced by one private-use Unicode character.

    Markup of emphasis, code and formulas (such as asterisks, backticks and $) is removed.

    `count`: the number of options.
    `options`: the options' texts, if known.
    """
    text = _LATEX.sub(lambda match: match[1].upper(), _STRUCK.sub(" ", text))
    text = _EMPHASIS.sub("", _BOX.sub(f" {BOX} ", text))
    text = _texts(text, options)
    text = _SMALL.sub(lambda match: _small(match, count), text)
    text = _BARE.sub(lambda match: _letter(match, count), text)
    text = re.sub(rf"({BOX}\s{{0,3}}{ONE}\s{{0,3}})\}}", r"\1", text)
    return _joined(_LABEL.sub(r"\1: ", _paired(_BLANKS.sub(" ", text))))


def letters_of(group: str) -> tuple[int, ...]:
    """Return the distinct indices of the options in a group, in order."""
    return tuple(
        dict.fromkeys(ord(mark) - (TEXT if ord(mark) >= TEXT else LETTER) for mark in group if mark not in (AND, OR))
    )


def _letter(match: re.Match[str], count: int) -> str:
    letter = match["letter"]
    if not letter.isupper():
        return match[0]
    place = ord(letter) - ord("Ａ" if letter >= "Ａ" else "A")
    if place >= count:
        return match[0]
    opened, closed = match["open"], match["close"]
    enclosed = bool(match["lead"]) or bool(opened and closed) or closed[:1] in (")", "]")
    if not enclosed and _is_name(match, letter):
        return match[0]
    keep_open = opened if opened and not closed else ""  # a bracket that encloses more than the letter
    keep_close = "" if opened or closed[:1] == "]" else closed[:1] if closed[:1] == ")" else closed
    return f"{keep_open}{chr(LETTER + place)}{keep_close}"


def _is_name(match: re.Match[str], letter: str) -> bool:
    """Return whether a bare letter is a word or part of a name, not an option."""
    text, start, end = match.string, match.start(), match.end()
    before, after = _WORD_BEFORE.search(text[max(0, start - 40) : start]), _WORD_AFTER.match(text, end)
    word, following = before[1] if before else "", after[1] if after else ""
    if letter == "I" and not _I_ALONE.match(text, end):
        return True
    if (
        letter == "A"
        and following
        and following.casefold().replace("’", "'") not in _VERBS
        and not ord(following[0]) > 0x2E80
    ):
        return True
    if following.casefold() in _NAME_OF or _NUMBER_BEFORE.search(text, max(0, start - 8), start):
        return True
    if _IN_LANGUAGE.search(text, max(0, start - 40), start):
        return True
    if word.casefold() in _NAMED:
        return True
    if word.casefold() == "the":
        return (
            following.islower() and following not in _VERBS and following not in ("one", "option", "choice", "answer")
        )
    opens = (
        before is None or _OPENING.search(text[max(0, start - 60) : max(0, start - 40) + before.start()]) is not None
    )
    capital = word[:1].isupper() and word[1:].islower() and ord(word[0]) < 0x250
    return capital and not opens and word.casefold() not in _OPENERS


_OPENERS = frozenset(
    [
        "option",
        "choice",
        "answer",
        "letter",
        "so",
        "thus",
        "hence",
        "therefore",
        "it's",
        "not",
        "yes",
        "no",
        "only",
        "either",
        "neither",
        "both",
    ]
)


def _small(match: re.Match[str], count: int) -> str:
    letter = next(filter(None, match.groups()))
    place = ord(letter.casefold()) - ord("a")
    if letter.isupper() or place >= count:
        return match[0]
    mention = match[0]
    at = mention.rindex(letter)
    before = re.sub(r"[\[(\"']\Z", "", mention[:at])
    return f"{before}{chr(LETTER + place)}{mention[at + 1 :].lstrip(')]' + chr(34) + chr(39))}"


def _texts(text: str, options: Sequence[str]) -> str:
    """Return the text with a mark in place of each option's text, for options whose texts are distinctive enough."""
    known = {
        place: words for place, option in enumerate(options[:26]) if (words := option.split()) and _is_telling(option)
    }
    if not known:
        return text
    longest = sorted(known, key=lambda place: (-len(" ".join(known[place])), place))
    pattern = re.compile(
        r"(?<![\w/^*+])(?<!\d[.,-])(?:"
        + "|".join(rf"(?P<o{place}>{_spaced(known[place])})" for place in longest)
        + r")(?!\w)(?![/^*+\-][\w])(?![.,']\w)",
        re.IGNORECASE,
    )
    return pattern.sub(lambda match: chr(TEXT + int((match.lastgroup or "o0")[1:])), text)


def _spaced(words: Sequence[str]) -> str:
    plain = [word for word in (_EMPHASIS.sub("", word) for word in words) if word]
    if plain:
        plain[-1] = plain[-1].rstrip(".") or plain[-1]
    return r"\s{1,4}".join(map(re.escape, plain)) or r"(?!)"


def _is_telling(option: str) -> bool:
    return len(option.strip()) >= 4 and bool(re.search(r"[^\W\d_]{2}", option))


def _paired(text: str) -> str:
    """Return the text with "B. Paris", "Paris (B)" and "Paris, option B" each replaced by one mention of the option.

    After a mention that starts a line as a label ("B. Paris"), a colon is added.
    """

    def one(match: re.Match[str]) -> str:
        start, first, between, second = match.groups()
        if letters_of(first) != letters_of(second):
            return match[0]
        label = ":" if start is not None and re.search(r"[.):]", between) else ""
        return f"{start or ''}{min(first, second)}{label}"

    return _PAIR.sub(one, text)


def _joined(text: str) -> str:
    """Return the text with each run of joined mentions as one group, which ends in the mark AND or OR."""
    text = _SPAN.sub(_between, text)

    def group(run: re.Match[str]) -> str:
        found = re.findall(ONE, run[0])
        joints = re.sub(ONE, "", run[0])
        if not _WORDED.search(joints) and len(found) < 3 and not _CLOSES.match(text, run.end()):
            return run[0]
        return "".join(found) + (OR if _EITHER.search(joints) else AND)

    return _RUN.sub(group, text)


def _between(match: re.Match[str]) -> str:
    first, last = letters_of(match[1])[0], letters_of(match[2])[0]
    if not first < last:
        return match[0]
    return "".join(chr(LETTER + place) for place in range(first, last + 1)) + AND
