"""Finds the known word that a misspelt one probably means. All suggestions for misspelt words use this module."""

from __future__ import annotations

from collections.abc import Iterable


def near(word: str, known: Iterable[str], most: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return at most `most` of the `known` words that resemble `word`, best first. `cutoff`: minimum similarity from 0 to 1
    (difflib's ratio)."""
    import difflib

    return difflib.get_close_matches(word, list(known), n=most, cutoff=cutoff)


def remedy(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return "did you mean `X`?" for the known word X nearest to `word`; `otherwise` if none is near."""
    found = near(word, known)
    return f"did you mean `{found[0]}`?" if found else otherwise
