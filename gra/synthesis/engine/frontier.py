"""Delays new calls while a stream replays from the journal: no call is sent before the first unyielded exchange needs a model.

A round ends with the proposal that completes it, so proposals started beyond that one are not needed. In a fresh run their calls
are the price of concurrency. Without the frontier a resumed run would pay this price at every start, because it would continue
proposals that the first run left unfinished although the round ends before them.
"""

from __future__ import annotations

import asyncio


class Frontier:
    """The frontier of one stream: its head is the first exchange whose result the reader has not yet processed."""

    def __init__(self) -> None:
        self._head = 0
        self._reached: set[int] = set()  # exchanges, from the head on, that need a call which the journal does not have
        self._open = False
        self._moved = asyncio.Event()

    async def reach(self, index: int) -> None:
        """Wait until exchange `index` may send a call that the journal does not have. It may do so once it is the head,
        or once the head needs such a call too."""
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
