"""Finds the known word that the user probably meant by a misspelt word. All suggestions for misspelt words come from
this module."""

from __future__ import annotations

import re
from collections.abc import Iterable

TYPO = 0.9  # words of at least this similarity differ by a letter or two


def near(word: str, known: Iterable[str], most: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return the known words that the user may have meant by `word`, the most probable first.

    First come words that differ from `word` by a letter or two. Then come words that begin or end with `word`, e.g.
    `samples_per_round` for `samples`. Last come words that only resemble `word`.

    `known`: all words that would be right. `most`: the largest number of words to return. `cutoff`: the least
    similarity to `word` that a word of the last group must have. The similarity is difflib's ratio, from 0 to 1.
    """
    import difflib

    words = list(known)
    parts = [name for name in words if _is_part(word, name)]
    typos = difflib.get_close_matches(word, words, n=most, cutoff=max(cutoff, TYPO))
    whole = difflib.get_close_matches(word, parts, n=most, cutoff=0.0) if parts else []
    similar = difflib.get_close_matches(word, words, n=most, cutoff=cutoff)
    return list(dict.fromkeys([*typos, *whole, *similar]))[:most]


def _is_part(word: str, name: str) -> bool:
    """Return whether the key `name` is a longer form of `word`, e.g. `samples_per_round` of `samples`.

    Both can have a section in front (`sft.`, `sim/`). If `word` has one, `name` must have the same. After the section,
    the words of `name` must end with those of `word`. If the sections are the same, they may also begin with them.
    """
    (section, last), (whole_section, whole) = _divided(word), _divided(name)
    short, long = _words(last), _words(whole)
    if section not in ("", whole_section) or not short or (short == long and section == whole_section):
        return False
    return long[-len(short) :] == short or (section == whole_section and long[: len(short)] == short)


def _divided(word: str) -> tuple[str, str]:
    section, last = re.fullmatch(r"(.*[./])?([^./]*)", word.lower(), re.DOTALL).groups("")  # type: ignore[union-attr]
    return section, last


def _words(name: str) -> list[str]:
    return [one for one in re.split(r"[_\W]+", name) if one]


def remedy(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return "did you mean `X`?", where X is the known word nearest to `word`. If no known word is near, return the
    text `otherwise`."""
    found = near(word, known)
    return f"did you mean `{found[0]}`?" if found else otherwise
