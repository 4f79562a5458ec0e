"""Finds the known word that a misspelt one probably means. All suggestions for misspelt words use this module."""

from __future__ import annotations

import re
from collections.abc import Iterable

TYPO = 0.9  # words of at least this similarity differ by a letter or two


def near(word: str, known: Iterable[str], most: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return at most `most` of the `known` words that `word` can mean, best first.

    Words that differ from `word` by a letter or two come first, words that begin or end with it second
    (`samples_per_round` for `samples`), and words that only resemble it last. `cutoff`: minimum similarity of the words
    in this last group, from 0 to 1 (difflib's ratio).
    """
    import difflib

    words = list(known)
    parts = [name for name in words if _is_part(word, name)]
    typos = difflib.get_close_matches(word, words, n=most, cutoff=max(cutoff, TYPO))
    whole = difflib.get_close_matches(word, parts, n=most, cutoff=0.0) if parts else []
    similar = difflib.get_close_matches(word, words, n=most, cutoff=cutoff)
    return list(dict.fromkeys([*typos, *whole, *similar]))[:most]


def _is_part(word: str, name: str) -> bool:
    """Return whether `name` is longer than `word` and ends with the words of `word`, or begins with them in the same
    section (`sft.`, `sim/`). If `word` has a section, `name` must have the same one."""
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
    """Return "did you mean `X`?" for the known word X nearest to `word`; `otherwise` if none is near."""
    found = near(word, known)
    return f"did you mean `{found[0]}`?" if found else otherwise
