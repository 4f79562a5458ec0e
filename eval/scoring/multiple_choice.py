r"""PURE: reads an option's letter out of a reply: strictly (in the form that the prompt requests) and tolerantly.

Strict (`answers_of`, for the task YAMLs under `eval/tasks/`): the letter after the last "ANSWER:" of the reply
(anywhere in a line; word and letter in any case), else the letter at the start of the reply. A letter at the start
counts if it ends the line, or if one of `.` `)` `:` follows it; any text can come after these. The letter can have
emphasis marks and brackets around it, and after "ANSWER:" also quotes, `$` and LaTeX. Prose is not read. A reply that
names a second option in the same way ("A. B. C.", a list of the options) has no answer.

Tolerant (`stated`): the first rule that finds a letter decides:

    claims     the option that the reply settles on, by what it affirms and denies (claims.py)
    stated     the letter or the option's text in the last \boxed{...}, else after the last "answer is", "Answer:" ...;
               an "answer is" is skipped if neither a letter nor an option's text follows it
    begins     the strict form at the start of the reply, or a reply that is only an option's text
    bold       the letter or the option's text in bold, if all letters and options in bold agree
    parenthesised  the "(B)" in the last sentence with a letter in parentheses, if the sentence has only one such letter
    text       the option whose text the reply quotes, if it quotes only one; a text inside a longer one is ignored
    last       the letter in the last sentence with a letter, if the sentence names only one

No rule returns an option that the reply denies. "The answer is B or C" names two options, so it has no answer. The
rules from `bold` on do not apply to a reply that declines to answer. These rules skip lines that repeat the list of
options, and all of them but `text` skip lines that name all letters. mentions.py defines what counts as a letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gra.errors import EvalError
from gra.eval.scoring import claims, mentions, option_texts
from gra.eval.scoring.phrases import (
    AMBIGUOUS,
    Found,
    bold,
    boxed,
    clause,
    conclusion,
    lines,
    refuses,
    sentences,
    settled,
    statements,
)
from gra.eval.scoring.thoughts import spoken

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
USUAL = 5  # the number of options if the item does not list them
_FORM = re.compile(r"[*_\s(]{0,6}([A-Z])(?:[*_)]{0,4}\s*$|[*_]{0,2}[.):][*_)]{0,4}(.*)$)")
_ASKED = re.compile(r"\banswer\s{0,3}[:：](.*(?:\n\s{0,9}[^\n]{0,20}$)?)", re.IGNORECASE | re.MULTILINE)
_GIVEN = re.compile(
    r"(?:[\s*_$(\[{\"'`“‘]|\\(?:boxed|text|mathrm|mathbf|textbf)\b|\\[(\[]){0,12}(?P<letter>[A-Za-z])(?P<closed>[)\]}*_$\"'`”’\\]{0,12})"
    r"(?P<rest>(?![\w'’]).*)",
)
_WORD_ON = re.compile(r"[ \t]+([^\W\d_]+)")
_MARK = re.compile(r"(?<!\S)\(?([A-Z])[).:](?!\S)")
_AGAIN = re.compile(r"\s*(?:,|/|&|;|\band\b|\bor\b)?\s*\(?([A-Z])\)?(?:\s*$|\s*[,.;:)/&]|\s+(?:and|or)\b)")
_LETTER = re.compile(r"(?<![A-Za-z0-9'’\-\\])([A-Z])(?![A-Za-z0-9'’\-])")
_DECORATION = re.compile(r"(?:[\s*_\"'“”‘`$\[{(:]|\\(?:text|mathrm|textbf|mathbf|boxed)\b|\\\(|\\\[)*")
_FILLER = re.compile(
    r"(?:(?:most likely|likely|probably|clearly|definitely|therefore|thus|option|choice|letter|answer|ending|indeed|the|number)\b"
    r"[\s*_\"'“‘`:]*)+",
    re.IGNORECASE,
)
_LONE = re.compile(r"[*_\s]{0,6}[A-Z][*_\s]{0,6}")
_BECAUSE = (
    "because",
    "since",
    "as",
    "for",
    "which",
    "given",
    "due",
    "is",
    "was",
    "here",
    "in",
    "with",
    "by",
    "and",
    "or",
)
_LABEL = re.compile(r"[*_\-•\s]{0,6}\(?([A-Z])([).:]|[*_]{0,2}$)")


def gold_letter(doc: Mapping[str, Any]) -> str:
    """Return the letter of an item's right option.

    It is read from the first of these columns that the item has: `answer` (an index from 0, or a letter), `answerKey`
    (a letter, or one of the labels of the item's `choices`), `label` (an index from 0). Raises EvalError if the item
    has none of them.
    """
    answer = doc.get("answer")
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(LETTERS):
        return LETTERS[answer]
    if isinstance(answer, str) and re.fullmatch(r"\(?[A-Z]\)?", answer.strip()):
        return answer.strip().strip("()")
    key = doc.get("answerKey")
    if key is not None:
        labels = [str(label) for label in (doc.get("choices") or {}).get("label", ())]
        if str(key) in labels:
            return LETTERS[labels.index(str(key))]
        if re.fullmatch(r"[A-Z]", str(key)):
            return str(key)
    label = doc.get("label")
    if str(label).isdigit() and int(str(label)) < len(LETTERS):
        return LETTERS[int(str(label))]
    raise EvalError(
        f"an item without a right option: its answer, answerKey or label must be a letter or a number; it has {', '.join(doc)}"
    )


def options_of(doc: Mapping[str, Any]) -> list[str]:
    """Return the options' texts in the item's order; [] if the item lists none."""
    choices = doc.get("choices") or doc.get("endings")
    if isinstance(choices, Mapping):
        choices = choices.get("text")
    if not choices and "choice1" in doc:
        choices = [doc[key] for key in ("choice1", "choice2", "choice3", "choice4") if key in doc]
    return [str(text) for text in choices or ()]


def answer_of(reply: str, count: int, options: Sequence[str] = ()) -> str | None:
    """Return the letter that the reply states in the form that the prompt asks for; None if there is none.

    `count`: the number of options, whose letters start at A.
    `options`: the options' texts, if known. They are needed for an option such as "D. A and B", so that the letters
    inside its text do not count as other options.
    """
    reply = spoken(reply)
    asked = _ASKED.findall(reply)
    if asked:
        return _given(asked[-1], count, options)
    return _begun(reply, count, options)


def answers_of(replies: Iterable[Sequence[str]], docs: Sequence[Mapping[str, Any]]) -> list[list[str | None]]:
    """Return the letter of every reply of every item; None if it has none. lm-eval uses this as a `custom` filter."""
    listed = [options_of(doc) for doc in docs]
    return [
        [answer_of(reply, len(options) or USUAL, options) for reply in several]
        for several, options in zip(replies, listed, strict=True)
    ]


def judge(doc: Mapping[str, Any], results: Sequence[str | None]) -> dict[str, float]:
    """Return an item's metrics. lm-eval calls this function as `process_results`.

    `exact_match`: whether the letter is right.
    `no_answer`: whether the reply has no letter.
    """
    return {"exact_match": float(results[0] == gold_letter(doc)), "no_answer": float(results[0] is None)}


def stated(reply: str, options: Sequence[str]) -> str | None:
    """Return the option's letter that the tolerant rules (lenient extraction) find in a reply; None if there is none.

    `options`: the options' texts; [] if unknown.
    """
    text, count = conclusion(reply), len(options) or USUAL
    refused = refuses(option_texts.unquoted(text, options))
    claimed = option_texts.unlisted(text[-claims.LONGEST :], options)
    found, denied = claims.settle(mentions.marked(claimed, count, options), count, firm=refused)
    out = {LETTERS[place] for place in denied}
    for rule in (_said, _begun, _entire) if not found else ():
        letter = rule(text, count, options)
        found = found or (letter if letter not in out else None)
    if not found and not refused:
        unlisted = _unlisted(text, count)
        shown = "\n".join(
            line for line in unlisted.splitlines() if count < 2 or len(set(_letters(line, count))) < count
        )
        found = (
            _agreed([letter for words in bold(shown) if (letter := _at(words, count, options)) not in out])
            or _agreed([letter for letter in _parenthesised(shown, count) if letter not in out])
            or option_texts.quoted(unlisted, options, out)
            or _last(shown, count, out)
        )
    return settled(found)


def _said(text: str, count: int, options: Sequence[str]) -> Found:
    """Return the letter of the option in the last box, else right after the last "answer is" that an option follows."""
    found: Found = _at(boxed(text) or "", count, options)
    for rest in statements(text) if not found else ():
        found = found or _at(rest, count, options)
    return found


def _entire(text: str, count: int, options: Sequence[str]) -> Found:  # noqa: ARG001
    """Return the letter of the option whose text is the whole reply."""
    return option_texts.whole(text, options)


def _begun(reply: str, count: int, options: Sequence[str]) -> str | None:
    """Return the letter in the first line; None if later lines have other letters in the same form, as in a list."""
    first, *more = lines(reply) or [""]
    letter = _form(first, count, options)
    alone = not (_FORM.match(first) or [0, 0, ""])[2]
    likewise = [match[1] for match in map(_FORM.match, more) if match and not (alone and match[2])]
    return letter if not {other for other in likewise if _is_option(other, count)} - {letter} else None


def _given(rest: str, count: int, options: Sequence[str]) -> str | None:
    """Return the letter after "ANSWER:", in upper case; None for the article "a", and if the line names a second option."""
    match = _GIVEN.match(rest)
    if match is None or not _is_option(match["letter"].upper(), count):
        return None
    follows = _WORD_ON.match(match["rest"])
    letter = match["letter"]
    article = letter.islower() or letter == "I" or (letter == "A" and follows and follows[1].lower() not in _BECAUSE)
    if follows and not match["closed"] and article:
        return None
    letter, more = match["letter"].upper(), match["rest"].split("\n", 1)[0].strip(" \t.:;)-–—")
    return letter if not _others(more, letter, count, options) else None


def _form(line: str, count: int, options: Sequence[str]) -> str | None:
    match = _FORM.match(line)
    if match is None or not _is_option(match[1], count):
        return None
    return match[1] if not _others((match[2] or "").strip(), match[1], count, options) else None


def _others(rest: str, letter: str, count: int, options: Sequence[str]) -> set[str]:
    """Return the options that `rest`, the line after `letter`, names in the same way, without `letter` itself."""
    if options:
        rest = rest.removeprefix(" ".join(options[LETTERS.index(letter)].split()))
    marks = {mark[1] for mark in _MARK.finditer(rest)} | {again[1] for again in [_AGAIN.match(rest)] if again}
    return {mark for mark in marks if _is_option(mark, count)} - {letter}


def _is_option(letter: str, count: int) -> bool:
    return len(letter) == 1 and letter in LETTERS[:count]


def _at(text: str, count: int, options: Sequence[str]) -> Found:
    """Return the letter at the start of `text`; if `text` starts with an option's text, return that option's letter."""
    start = _skip(text)
    rest = text[start : start + 600]
    bracketed = text[:start].rstrip().endswith(("(", "{", "["))
    small = re.match(r"([a-z])\s*[)}.]?[)}*$\\.]*\s*$", rest)  # "(b)" and nothing else
    if small and _is_option(small[1].upper(), count):
        return small[1].upper()
    small = re.match(r"([a-z])\)", rest)
    if small and bracketed and _is_option(small[1].upper(), count):
        return small[1].upper()
    whole = option_texts.whole(clause(rest), options)
    if whole is not None:
        return whole
    letter = _LETTER.match(rest)
    if letter and _is_option(letter[1], count) and (bracketed or not _is_word(rest, letter)):
        after = re.sub(r"^[)}\]*_$\"'”’`\\.:]+", "", rest[1:])
        again = re.match(
            r"\s*(?:,|/|&|and\b|or\b)[\s,(*]*(?:or\b|and\b)?[\s(*]*(?:option\s+)?\(?([A-Z])(?![A-Za-z'’])", after
        )
        if again and again[1] != letter[1] and _is_option(again[1], count) and not _article(after, again):
            return AMBIGUOUS
        return letter[1]
    opening, texts = option_texts.plain(rest), [option_texts.plain(option) for option in options]
    begun = [
        place
        for place, option in enumerate(texts)
        if option_texts.is_text(option) and opening.startswith(option) and option_texts.ends(opening, len(option))
    ]
    return LETTERS[max(begun, key=lambda place: len(texts[place]))] if begun else None


def _skip(text: str) -> int:
    """Return the position at which the answer starts, after marks and words such as "most likely option"."""
    start = 0
    for pattern in (_DECORATION, _FILLER, _DECORATION):
        match = pattern.match(text, start)
        start = match.end() if match else start
    return start


def _is_word(text: str, match: re.Match[str]) -> bool:
    """Return whether a matched "A" or "I" is the article or the pronoun."""
    if match[1] not in "AI":
        return False
    following = re.match(r"\s+([A-Za-z]+)", text[match.end() :])
    if match[1] == "I":
        return not re.match(r"\s*(?:[).:*\]}]|$)", text[match.end() :])
    return following is not None and following[1].lower() not in _BECAUSE


def _article(text: str, match: re.Match[str]) -> bool:
    return match[1] in "AI" and re.match(r"\s+[a-z]", text[match.end(1) :]) is not None


def _unlisted(text: str, count: int) -> str:
    """Return the text without the lines that repeat the list of options."""
    every = text.splitlines()
    labelled = {
        place: match[1] for place, match in enumerate(map(_LABEL.match, every)) if match and _is_option(match[1], count)
    }
    marked = {
        place for place in labelled if not _LONE.fullmatch(every[place])
    }  # a line with only a letter, after a list, is the answer
    listed = (marked or set(labelled)) if len(set(labelled.values())) > 1 else set()
    return "\n".join(line for place, line in enumerate(every) if place not in listed)


def _letters(text: str, count: int) -> list[str]:
    return [match[1] for match in _LETTER.finditer(text) if _is_option(match[1], count) and not _is_word(text, match)]


def _agreed(found: Sequence[Found]) -> str | None:
    letters = {letter for letter in found if isinstance(letter, str)}
    return letters.pop() if len(letters) == 1 and AMBIGUOUS not in found else None


def _parenthesised(text: str, count: int) -> list[str]:
    for sentence in reversed(sentences(text)):
        found = [letter for letter in re.findall(r"(?<!\w)\(([A-Z])\)", sentence) if _is_option(letter, count)]
        if found:
            return found
    return []


def _last(text: str, count: int, out: set[str]) -> Found:
    """Return the letter in the last sentence with a letter that is not denied; AMBIGUOUS if it has several of these."""
    for sentence in reversed(claims.sentences(mentions.marked(text[-claims.LONGEST :], count))):
        found = {LETTERS[place] for place in sentence} - out
        if found:
            return found.pop() if len(found) == 1 else AMBIGUOUS
    return None
