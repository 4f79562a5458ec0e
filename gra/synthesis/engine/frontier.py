"""Delays the calls of a resumed run to models until the run has used its recorded replies, so that it makes no calls
that it does not need.

The engine runs several exchanges at once (an exchange is all the calls of one proposal or seed), but yields their
results in order. A round ends with the proposal that gives its last sample. Proposals after it, which run at the same
time, are not needed. Without this module, each restart of the run would continue these unneeded proposals.

The rule: the first exchange whose result was not yet yielded is called the head. No exchange may send a new call, one
without a recorded reply, before the head needs a new call itself.
"""

from __future__ import annotations

import asyncio


class Frontier:
    """Decides when each exchange of a stream may send new calls to models, which are calls without a recorded reply. An
    exchange is all the calls of one proposal or seed. A stream is a sequence of exchanges. The head is the first
    exchange whose result the reader of the stream has not yet processed."""

    def __init__(self) -> None:
        self._head = 0
        self._reached: set[int] = set()  # exchanges, from the head on, that need a call which the journal does not have
        self._open = False
        self._moved = asyncio.Event()

    async def reach(self, index: int) -> None:
        """Wait until exchange number `index` may send a new call, which is a call without a recorded reply. The
        exchange may send it if it is the head, or if the head needs a new call too."""
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
        """Let all waiting exchanges continue. Called when nobody reads the stream any more."""
        self._open = True
        self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
