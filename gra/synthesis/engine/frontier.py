"""Delays new calls of a resumed run while it still replays recorded replies, so that it makes no calls that it does not
need.

The engine runs several exchanges (the calls of one proposal or seed) at once, but yields their results in order. A
round ends with the proposal that yields its last sample. Later proposals, which concurrency has already started by
then, are not needed. A resumed run would continue these unneeded proposals at every start. So no exchange may send a
new call until the first exchange whose result was not yet yielded (the head) needs a new call too.
"""

from __future__ import annotations

import asyncio


class Frontier:
    """The frontier of one stream of exchanges. Its head is the first exchange whose result the stream's reader has not
    yet processed."""

    def __init__(self) -> None:
        self._head = 0
        self._reached: set[int] = set()  # exchanges, from the head on, that need a call which the journal does not have
        self._open = False
        self._moved = asyncio.Event()

    async def reach(self, index: int) -> None:
        """Wait until exchange `index` may send a new call (one whose reply is not in the journal): until this exchange
        is the head, or the head needs a new call too."""
        self._reached.add(index)
        if index == self._head:
            self._wake()
        while self._head < index and self._head not in self._reached and not self._open:
            await self._moved.wait()

    def move(self, head: int) -> None:
        """Set the head: the reader has processed all exchanges before `head`."""
        self._reached.discard(self._head)
        self._head = head
        self._wake()

    def open(self) -> None:
        """Let all waiting exchanges continue, because nobody reads the stream any more."""
        self._open = True
        self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
