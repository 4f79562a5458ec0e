"""PURE: measures how much of a text is copied from another text, by the sequences of words that both contain.

covered(text, shown) = (words of `text` in sequences of NGRAM words that `shown` contains too) / (words of `text`)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from gra.synthesis.replies.echoes import words

NGRAM = 4  # number of words in a run
COPIED = 0.6  # a text of more than SHORT words is a copy if the prompt covers a larger share of it
SHORT, COPIED_SHORT = 15, 0.85  # larger for at most SHORT words: similar short tasks have most words in common


def copied(text: str, *shown: str) -> bool:
    """Return whether `text` counts as a copy of the texts `shown`. It does if the proportion of its words that these
    texts cover is larger than `most_covered` allows. The function `covered` computes the proportion."""
    return covered(text, *shown) > most_covered(words(text))


def most_covered(mine: Sequence[str]) -> float:
    """Return a limit for the proportion of a text's words that also occur, in sequence, in the texts shown to the
    model. A text above the limit counts as a copy of them. The function `covered` computes this proportion. `mine`: the
    words of the text."""
    return COPIED_SHORT if len(mine) <= SHORT else COPIED


def covered(text: str, *shown: str) -> float:
    """Return the proportion of the words of `text` that the texts `shown` cover. A word is covered if it belongs to a
    sequence of NGRAM words that one of these texts contains too. Return 0 if `text` has fewer than NGRAM words."""
    mine = words(text)
    if len(mine) < NGRAM:
        return 0.0
    known = frozenset().union(*[_gram_set(part) for part in shown]) if len(shown) > 1 else _gram_set(shown[0])
    inside = [False] * len(mine)
    for place, gram in enumerate(_grams(mine)):
        if gram in known:
            inside[place : place + NGRAM] = [True] * NGRAM
    return sum(inside) / len(mine)


@lru_cache(128)
def _gram_set(text: str) -> frozenset[tuple[str, ...]]:
    """Return the n-grams of the text. They are cached, since the rules of a step and the records of a pool recur."""
    return frozenset(_grams(words(text)))


def _grams(parts: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(parts[i : i + NGRAM]) for i in range(len(parts) - NGRAM + 1)]
