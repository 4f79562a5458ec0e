"""PURE: detects replies that repeat a turn, line or sentence of their prompt, or that begin like a turn of their
prompt. A turn is a message of the conversation.

Weak models repeat what they were shown: the last line of the prompt ("Write a mathematics task. Keywords: sums,
digits"), a rule of the system message, a demonstration. Such a line can look like a task or a summary. So a reply is
refused if it equals a piece of the prompt or begins with the lead of a user turn:

    pieces(turn) = the turn, its lines and their sentences, each with and without its label ("Task: ...") and its tags
    lead(turn)   = the first words of the turn, up to the first text that was filled in (used only from LEAD words on)

Case and punctuation are ignored. Copies in which some words were changed are found by `overlap.copied`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache

LEAD = 3  # minimum words of a lead
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?", re.UNICODE)
_SENTENCE = re.compile(r"(?<=[.!?;:])\s+")
_LABEL = re.compile(r"(?:[\s#>*_\"'`-]*[^\W\d][\w -]{0,30}:|\s*\(?\d{1,2}[.):])[*_]*\s+(?=\S)")
_TAG = re.compile(r"</?\\?\w+>|<\\/?\w+>")


def echoes(
    text: str,
    conversation: Sequence[Mapping[str, str]],
    filled: Iterable[str] = (),
    hidden: Iterable[str] = (),
    least: int = 1,
) -> bool:
    """Return whether `text` repeats a piece of the conversation (a whole message, a line or a sentence, see `pieces`),
    or begins with the same words as a user message (see `lead`).

    `filled`: texts that were filled into the template of a message. `hidden`: texts that are removed from the messages
    before the comparison, such as the instruction that the reply answers. `least`: the minimum number of words of a
    repeated piece.
    """
    turns = [(turn, turn["content"].casefold()) for turn in conversation]
    texts, masked = {_unlabelled(text), text}, _Masked(hidden)
    for part in texts:
        mine = words(part)
        near = (masked(turn["content"]) for turn, folded in turns if may_hold(folded, mine))
        if len(mine) >= max(least, 1) and any(_is_piece(part, content) for content in near):
            return True
    first = {mine[0] for part in texts if (mine := words(part))}
    users = (
        turn["content"] for turn, folded in turns if turn["role"] == "user" and any(map(folded.__contains__, first))
    )
    begun = [content for content in map(masked, users) if _first(content) in first]
    if not begun:  # true for nearly all replies: to begin with a lead, a reply must begin with the turn's first word
        return False
    inside = sorted({part for part in (*filled, *masked.masks) if len(part) > 2})
    leads = [lead(content, inside) for content in begun]
    return any(words(part)[: len(begins)] == begins for begins in leads if len(begins) >= LEAD for part in texts)


def begins_a_piece(text: str, conversation: Sequence[Mapping[str, str]], hidden: Iterable[str], least: int) -> bool:
    """Return whether a piece of the conversation (a whole message, a line or a sentence, see `pieces`) begins with the
    words of `text`. If `text` has fewer words than the number `least`, the result is False. `hidden`: texts that are
    removed from the messages before the comparison."""
    if len(mine := words(text)) < least:
        return False
    masked = _Masked(hidden)
    near = (masked(turn["content"]) for turn in conversation if may_hold(turn["content"].casefold(), mine))
    return any(piece[: len(mine)] == mine for content in near if _holds(content, text) for piece in pieces(content))


def may_hold(folded: str, parts: Iterable[str]) -> bool:
    """Return whether a text may contain all the words in the argument `parts`. `folded`: the text after `str.casefold`.
    If the result is False, the text certainly lacks one of the words. If it is True, a word may still occur only inside
    a longer word. This check is much faster than splitting the text into words."""
    return all(map(folded.__contains__, parts))


class _Masked:
    """Removes the hidden texts from a turn. They are sorted only when first needed."""

    def __init__(self, hidden: Iterable[str]):
        self._hidden = hidden

    @cached_property
    def masks(self) -> list[str]:
        """The hidden texts, longest first, without texts of one or two characters."""
        return sorted({part for part in self._hidden if len(part) > 2}, key=lambda text: (-len(text), text))

    def __call__(self, content: str) -> str:
        for part in self.masks:
            content = content.replace(part, "\n")
        return content


def _is_piece(text: str, turn: str) -> bool:
    return _holds(turn, text) and words(text) in pieces(turn)


def _unlabelled(text: str) -> str:
    label = _LABEL.match(text)
    return text[label.end() :] if label is not None else text


def _holds(turn: str, text: str) -> bool:
    """Return whether the turn contains the words of `text`, one after the other. It is a quick check: if False, `text`
    is certainly not a piece of the turn."""
    return _flat(text) in _flat(turn)


@lru_cache(256)
def _flat(text: str) -> str:
    return f" {' '.join(words(text))} "


@lru_cache(64)
def pieces(turn: str) -> frozenset[tuple[str, ...]]:
    """Return the pieces of a turn (a message of the chat), each as a tuple of words. The pieces are the whole turn,
    each of its lines, and each sentence of a line. Each piece is included both with and without its label ("Task: ...")
    and tags."""
    texts = {turn}
    for line in turn.splitlines():
        bare = _TAG.sub(" ", line)
        texts |= {line, bare, *_SENTENCE.split(line), *_SENTENCE.split(bare)}
    texts |= {_unlabelled(text) for text in list(texts)}
    return frozenset(found for text in texts if (found := words(text)))


def lead(turn: str, filled: Sequence[str]) -> tuple[str, ...]:
    """Return the words of the first sentence of a turn (a message of the chat), up to the first text that was filled
    into its template. `filled`: the texts that were filled in. If one of these texts occurs several times in the turn,
    its last occurrence counts as the filled-in one, because a keyword can also be a word of the template's own
    sentence."""
    places = [place for part in filled if (place := turn.rfind(part)) != -1]
    own = turn[: min(places, default=len(turn))]
    return words(re.split(r"(?<=[.!?])\s+|\n", own.strip(), maxsplit=1)[0])


def _first(text: str) -> str:
    """Return the first word of `text`, or ""."""
    found = _WORD.search(text.casefold())
    return found[0] if found is not None else ""


@lru_cache(256)
def words(text: str) -> tuple[str, ...]:
    """Return the words of `text` in lower case, without punctuation."""
    return tuple(_WORD.findall(text.casefold()))
