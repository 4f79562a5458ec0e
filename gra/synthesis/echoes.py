"""PURE: whether a reply is a piece of the conversation that it answers: a turn, a line or a sentence of it, or begins as it does.

Weak models hand back what they were shown: the last line of the prompt ("Write a mathematics task. Keywords: sums, digits"), a
rule of the system message, a demonstration. Such a line may read as a task or a summary, so it is refused word for word:

    pieces(turn) = the turn, its lines and their sentences, each with and without its label ("Task: ...") and its tags
    leads(turn)  = the words with which the turn begins, up to the first of the texts that were filled in, if they are LEAD or more

Case and punctuation do not count. Copies with changed words are looked for elsewhere (usable.copied).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

LEAD = 3  # words
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?", re.UNICODE)
_SENTENCE = re.compile(r"(?<=[.!?;:])\s+")
_LABEL = re.compile(r"(?:[\s#>*_\"'`-]*[^\W\d][\w -]{0,30}:|\s*\(?\d{1,2}[.):])[*_]*\s+(?=\S)")
_TAG = re.compile(r"</?\\?\w+>|<\\/?\w+>")


def echoes(
    text: str, conversation: Sequence[Mapping[str, str]], filled: Iterable[str] = (), hidden: Iterable[str] = (), least: int = 1
) -> bool:
    """Whether `text` is a piece of the conversation or begins with the lead words of one of its user turns.

    `filled`: texts that were filled into the turns; `hidden`: those of them that a reply may repeat line by line, such as the
    instruction that it answers; `least`: words of the shortest piece that counts.
    """
    masks = _masks(hidden)
    turns = [(turn["role"], _masked(turn["content"], masks)) for turn in conversation]
    bare = [_unlabelled(text), text]
    if any(_is_piece(part, content) for part in bare if len(words(part)) >= max(least, 1) for _, content in turns):
        return True
    first = {found[:1] for part in bare if (found := words(part))}
    begun = [content for role, content in turns if role == "user" and words(content)[:1] in first]
    if not begun:  # as for nearly all replies: lead words are at least LEAD, so the first is the turn's own, whole
        return False
    inside = sorted({part for part in (*filled, *masks) if len(part) > 2})
    leads = [lead(content, inside) for content in begun]
    return any(words(part)[: len(begins)] == begins for begins in leads if len(begins) >= LEAD for part in bare)


def begins_a_piece(text: str, conversation: Sequence[Mapping[str, str]], hidden: Iterable[str], least: int) -> bool:
    """Whether a piece of the conversation begins with `text`, of `least` words or more: what a form took of it."""
    mine, masks = words(text), _masks(hidden)
    turns = [content for turn in conversation if _holds(content := _masked(turn["content"], masks), text)]
    found = (piece for content in turns for piece in pieces(content))
    return len(mine) >= least and any(piece[: len(mine)] == mine for piece in found)


def _is_piece(text: str, turn: str) -> bool:
    return _holds(turn, text) and words(text) in pieces(turn)


def _unlabelled(text: str) -> str:
    label = _LABEL.match(text)
    return text[label.end() :] if label is not None else text


def _holds(turn: str, text: str) -> bool:
    """Whether the words of `text` stand in the turn, one after the other: quickly told, and needed for any piece."""
    return _flat(text) in _flat(turn)


@lru_cache(256)
def _flat(text: str) -> str:
    return f" {' '.join(words(text))} "


@lru_cache(64)
def pieces(turn: str) -> frozenset[tuple[str, ...]]:
    """The words of the turn, its lines and their sentences, with and without labels and tags."""
    texts = {turn}
    for line in turn.splitlines():
        bare = _TAG.sub(" ", line)
        texts |= {line, bare, *_SENTENCE.split(line), *_SENTENCE.split(bare)}
    texts |= {_unlabelled(text) for text in list(texts)}
    return frozenset(found for text in texts if (found := words(text)))


def lead(turn: str, filled: Sequence[str]) -> tuple[str, ...]:
    """The words of the turn's first sentence, before the first of the `filled` texts (where each stands last: a keyword may be a
    word of the sentence, too)."""
    places = [place for part in filled if (place := turn.rfind(part)) != -1]
    own = turn[: min(places, default=len(turn))]
    return words(re.split(r"(?<=[.!?])\s+|\n", own.strip(), maxsplit=1)[0])


def _masks(hidden: Iterable[str]) -> list[str]:
    return sorted({part for part in hidden if len(part) > 2}, key=len, reverse=True)


def _masked(content: str, masks: Sequence[str]) -> str:
    for part in masks:
        content = content.replace(part, "\n")
    return content


@lru_cache(256)
def words(text: str) -> tuple[str, ...]:
    """The words of `text`, without case and punctuation."""
    return tuple(_WORD.findall(text.casefold()))
