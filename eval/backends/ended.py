"""Which replies ended at their limit of tokens, caught inside lm-eval's model classes, which return texts alone.

They order the requests of a call anew, so a reply is known by its prompt's tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

from eval.backends import Ask


class Ended:
    """What is noted of one batch, whose requests all have the same decoding. `max_length`: tokens of prompt and reply together."""

    def __init__(self, max_length: int):
        self._max_length, self._found = max_length, dict[tuple[int, ...], bool | None]()

    def note(self, prompt: Sequence[int], at_limit: bool | None) -> None:
        """Of the prompt as the model got it, without padding."""
        self._found[tuple(prompt)] = at_limit

    def of(self, ask: Ask) -> bool | None:
        """None where nothing was noted: it is then not known."""
        room = self._max_length - int(ask.decoding["max_gen_toks"])
        return self._found.get(ask.ids[-room:])


def at_limit(reply: Sequence[int], limit: int, ends: set[int], text: str, stops: Sequence[str]) -> bool:
    """Whether a reply has all tokens that it might have (`limit`), and neither an end token nor a text that ends it among them."""
    return len(reply) >= limit and ends.isdisjoint(reply) and not any(stop and stop in text for stop in stops)
