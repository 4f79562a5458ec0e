"""Records which replies were truncated.

lm-eval's model classes return only the texts of the replies, so GRA fills the record while these classes generate.

The classes also reorder the requests of a call, so the record identifies a reply by the tokens of its prompt.
"""

from __future__ import annotations

from collections.abc import Sequence

from gra.eval.backends import ModelRequest


class Ended:
    """A record of which replies of one batch were truncated at their token limit.

    All requests of the batch have the same generation keywords. `max_length`: the limit on tokens of prompt and reply
    together.
    """

    def __init__(self, max_length: int):
        self._max_length, self._found = max_length, dict[tuple[int, ...], bool | None]()

    def note(self, prompt: Sequence[int], at_limit: bool | None) -> None:
        """Record whether the reply to `prompt` was truncated.

        `prompt`: the tokens that the model got, without padding.
        """
        self._found[tuple(prompt)] = at_limit

    def of(self, request: ModelRequest) -> bool | None:
        """Return whether the reply to `request` was truncated; None if nothing was recorded."""
        room = self._max_length - int(request.decoding["max_gen_toks"])
        return self._found.get(request.ids[-room:])


def at_limit(reply: Sequence[int], limit: int, ends: set[int], text: str, stops: Sequence[str]) -> bool:
    """Return whether a reply has `limit` tokens and contains neither an end token nor a stop text."""
    return len(reply) >= limit and ends.isdisjoint(reply) and not any(stop and stop in text for stop in stops)
