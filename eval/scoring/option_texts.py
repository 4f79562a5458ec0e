"""PURE: finds the options of a multiple-choice item that a reply names by their texts, not by their letters."""

from __future__ import annotations

import re
from collections.abc import Sequence

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_EMPHASIS = dict.fromkeys(map(ord, "*_`$"))


def plain(text: str) -> str:
    """Return the text in lower case, with single spaces, without emphasis marks and without punctuation at its ends."""
    return " ".join(text.casefold().translate(_EMPHASIS).split()).strip(" .,;:!?\"'")


def unquoted(text: str, options: Sequence[str]) -> str:
    """Return `text` with each literal quote of an option's text removed.

    The caller looks for refusals in the returned text. Words such as "you can't tell" are not a refusal if they are
    part of an option.
    """
    for option in options:
        text = text.replace(option, " ") if len(option) > 1 else text
    return text


def unlisted(text: str, options: Sequence[str]) -> str:
    """If `text` contains a list of all options, each with letter and text, return `text` without this list.

    Otherwise return `text` unchanged. A reply that only repeats such a list, "(A) yes (B) no", says nothing about the
    answer.
    """
    if len(options) < 2 or len(options) > len(LETTERS):
        return text
    entries = [
        rf"[*_\-•]{{0,3}}\(?{letter}[).:][*_]{{0,2}}\s{{0,3}}{re.escape(option.strip())}[.;,]?"
        for letter, option in zip(LETTERS, options, strict=False)
    ]
    return re.sub(r"(?<!\w)" + r"\s{1,9}".join(entries) + r"(?!\w)", " ", text)


def quoted(text: str, options: Sequence[str], out: set[str]) -> str | None:
    """Return the letter of the only option whose text the reply quotes; None if it quotes no option or several.

    Options whose letters are in `out` are ignored. If one quoted text contains the others, it counts as the only one,
    unless the reply quotes all options.
    """
    text, texts = plain(text), [plain(option) for option in options]
    left = [place for place, option in enumerate(texts) if is_text(option) and LETTERS[place] not in out]
    named = [place for place in left if _quotes(text, texts[place])]
    longest = [place for place in named if not any(texts[place] in texts[other] for other in named if other != place)]
    return LETTERS[longest[0]] if len(longest) == 1 and (len(named) < len(options) or len(options) == 1) else None


def whole(text: str, options: Sequence[str]) -> str | None:
    """Return the letter of the only option whose text equals `text`; None if there is none."""
    text = plain(text)
    same = [place for place, option in enumerate(options) if is_text(text) and plain(option) == text]
    return LETTERS[same[0]] if len(same) == 1 else None


def is_text(option: str) -> bool:
    """Return whether an option's text cannot be mistaken for an option's letter."""
    return len(option) > 1 or option.isdigit()


def _quotes(text: str, option: str) -> bool:
    """Return whether `text` contains `option`, not as part of a longer word, number or formula."""
    place = text.find(option)
    while place >= 0:
        if (place == 0 or text[place - 1] in " (\"'“‘:=") and ends(text, place + len(option)):
            return True
        place = text.find(option, place + len(option))
    return False


def ends(text: str, place: int) -> bool:
    """Return whether a word, number or formula ends at `place`."""
    following = text[place : place + 2]
    return not following[:1].isalnum() and not (following[:1] in (*"^/+*-.,", "'") and following[1:].isalnum())
