"""PURE: options of multiple choice, named by their texts."""

from __future__ import annotations

import re
from collections.abc import Sequence

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_EMPHASIS = dict.fromkeys(map(ord, "*_`$"))


def plain(text: str) -> str:
    """In small letters, one space between words, without marks of emphasis, and without the full stop or so that ends it."""
    return " ".join(text.casefold().translate(_EMPHASIS).split()).strip(" .,;:!?\"'")


def unquoted(text: str, options: Sequence[str]) -> str:
    """The text without the options that it quotes to the letter: "you can't tell" may be part of one."""
    for option in options:
        text = text.replace(option, " ") if len(option) > 1 else text
    return text


def unlisted(text: str, options: Sequence[str]) -> str:
    """The text without the whole list of the options, where a reply repeats it, each with its letter and its own words: "(A) yes
    (B) no" says nothing of what is right where these are the options."""
    if len(options) < 2 or len(options) > len(LETTERS):
        return text
    entries = [rf"[*_\-•]{{0,3}}\(?{letter}[).:][*_]{{0,2}}\s{{0,3}}{re.escape(option.strip())}[.;,]?"
               for letter, option in zip(LETTERS, options, strict=False)]  # fmt: skip
    return re.sub(r"(?<!\w)" + r"\s{1,9}".join(entries) + r"(?!\w)", " ", text)


def quoted(text: str, options: Sequence[str], out: set[str]) -> str | None:
    """The letter of the one option whose text a reply quotes (the longest, where it holds the others), but for those of `out`."""
    told, texts = plain(text), [plain(option) for option in options]
    left = [place for place, option in enumerate(texts) if is_text(option) and LETTERS[place] not in out]
    named = [place for place in left if _quotes(told, texts[place])]
    longest = [place for place in named if not any(texts[place] in texts[other] for other in named if other != place)]
    return LETTERS[longest[0]] if len(longest) == 1 and (len(named) < len(options) or len(options) == 1) else None


def whole(text: str, options: Sequence[str]) -> str | None:
    """The letter of the option that a text is the text of."""
    told = plain(text)
    same = [place for place, option in enumerate(options) if is_text(told) and plain(option) == told]
    return LETTERS[same[0]] if len(same) == 1 else None


def is_text(option: str) -> bool:
    """Whether an option's text can be told from a letter that names an option."""
    return len(option) > 1 or option.isdigit()


def _quotes(told: str, option: str) -> bool:
    """Whether `told` has `option` where it is not a part of a longer word, number or formula."""
    place = told.find(option)
    while place >= 0:
        if (place == 0 or told[place - 1] in " (\"'“‘:=") and ends(told, place + len(option)):
            return True
        place = told.find(option, place + len(option))
    return False


def ends(told: str, place: int) -> bool:
    """Whether no longer word, number or formula goes on at `place`."""
    following = told[place : place + 2]
    return not following[:1].isalnum() and not (following[:1] in (*"^/+*-.,", "'") and following[1:].isalnum())
