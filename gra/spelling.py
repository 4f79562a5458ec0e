"""Finds the known word that a misspelt one probably means: the one place that compares spellings."""

from __future__ import annotations

from collections.abc import Iterable


def near(word: str, known: Iterable[str], most: int = 1, cutoff: float = 0.6) -> list[str]:
    """The known words most like `word`, best first, at most `most`. `cutoff`: the least similarity, 0 to 1 (difflib's ratio)."""
    import difflib

    return difflib.get_close_matches(word, list(known), n=most, cutoff=cutoff)


def remedy(word: str, known: Iterable[str], otherwise: str) -> str:
    """The question whether the nearest known word was meant; `otherwise` if none is near."""
    found = near(word, known)
    return f"did you mean `{found[0]}`?" if found else otherwise
