"""How far a stream of talks is known: while the journal answers the first talk that is not yielded, those behind it ask nothing.

A round ends with the proposal that completes it, and those begun beyond it are in vain. In a run of its own that is the price of
asking many at once. Where the journal has the replies it would be a price paid again at each start: proposals that the first run
never finished would be asked further, though the round ends before them.
"""

from __future__ import annotations

import asyncio


class Frontier:
    """For one stream. `head`: the first talk whose result the reader of the stream has not taken and dealt with."""

    def __init__(self) -> None:
        self._head = 0
        self._asked: set[int] = set()  # talks from the head on that had something to ask
        self._open = False
        self._moved = asyncio.Event()

    async def reach(self, index: int) -> None:
        """Wait until talk `index` may ask what the journal does not know: the head has asked as well, or it is the head."""
        self._asked.add(index)
        if index == self._head:
            self._wake()
        while self._head < index and self._head not in self._asked and not self._open:
            await self._moved.wait()

    def move(self, head: int) -> None:
        """The reader has dealt with all talks before `head`."""
        self._asked.discard(self._head)
        self._head = head
        self._wake()

    def open(self) -> None:
        """Nobody reads any more: no talk waits from here on."""
        self._open = True
        self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
