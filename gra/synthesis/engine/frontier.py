"""Holds back new calls while a stream replays from the journal: nothing is sent until the first unyielded exchange needs a model.

A round ends with the proposal that completes it; proposals started beyond it are not needed. In a fresh run these calls are the
cost of concurrency. In a resumed run they would cost again at each start: proposals that the first run did not finish would be
continued although the round ends before them.
"""

from __future__ import annotations

import asyncio


class Frontier:
    """The frontier of one stream. `head`: the first exchange whose result the reader has not yet processed."""

    def __init__(self) -> None:
        self._head = 0
        self._reached: set[int] = set()  # exchanges from the head on that need a model
        self._open = False
        self._moved = asyncio.Event()

    async def reach(self, index: int) -> None:
        """Wait until exchange `index` may send a call that the journal does not have: it is the head, or the head sent one too."""
        self._reached.add(index)
        if index == self._head:
            self._wake()
        while self._head < index and self._head not in self._reached and not self._open:
            await self._moved.wait()

    def move(self, head: int) -> None:
        """The reader has processed all exchanges before `head`."""
        self._reached.discard(self._head)
        self._head = head
        self._wake()

    def open(self) -> None:
        """Let all exchanges continue: the stream has no reader any more."""
        self._open = True
        self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
