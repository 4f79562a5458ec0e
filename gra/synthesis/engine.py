"""Drives many protocols at once over a backend: replies come from the journal where it has them, else from the models.

The order in which calls return decides nothing: outcomes are handed out in the order of their proposals, and a proposal
that turns out not to be needed leaves no trace but its replies in the journal.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from gra.errors import DRAINED, Interrupted
from gra.models.base import Backend, Reply, Request
from gra.synthesis.frontier import Frontier
from gra.synthesis.journal import Journal
from gra.synthesis.protocol import Ask, Talk
from gra.wellformed import well_formed

T = TypeVar("T")
Due = Callable[[], Awaitable[None]] | None
AHEAD = 16  # finished outcomes that may wait for a slow one before them, as a multiple of the concurrency


@dataclass
class Traffic:
    """What went over the wire in this process, for progress and run.json: it depends on restarts, so no result does."""

    asked: int = 0  # calls sent to models
    replayed: int = 0  # calls answered by the journal
    seconds: float = 0.0  # waited for models, summed over calls
    answered: int = 0
    tokens_in: int = 0  # of answered calls whose server told them
    tokens_out: int = 0
    in_flight: dict[str, int] = field(default_factory=dict)  # by model

    def sent(self, model: str) -> None:
        """A call goes out; `returned` must follow, whatever becomes of it."""
        self.asked += 1
        self.in_flight[model] = self.in_flight.get(model, 0) + 1

    def returned(self, model: str, reply: Reply | None, seconds: float) -> None:
        """A call came back after `seconds`; None: cancelled or failed."""
        self.in_flight[model] -= 1
        if reply is not None:
            self.answered += 1
            self.seconds += seconds
            self.tokens_in += reply.tokens_in or 0
            self.tokens_out += reply.tokens_out or 0


class Engine:
    """`concurrency`: calls in flight at most, over all models."""

    def __init__(self, backend: Backend, journal: Journal, concurrency: int):
        self._backend, self._journal, self.concurrency = backend, journal, concurrency
        # A backend whose calls wait inside it for their model's turn must see all that the samples under way have to ask. Others
        # keep to the limit themselves: there a call that waits for its next attempt takes no place that another could use.
        keeps: Callable[[int], None] | None = getattr(backend, "limit_calls", None)
        if keeps is not None:
            keeps(concurrency)
        self._slots = asyncio.Semaphore(sys.maxsize if keeps or getattr(backend, "queues", False) else concurrency)
        # A call that waits for its model holds no slot that another model's call could use.
        limit = None if keeps else getattr(backend, "per_model", None)
        self._turns = {model: asyncio.Semaphore(limit) for model in backend.models} if limit else {}
        self._queued: Callable[[Request], float] | None = getattr(backend, "queued", None)
        self._ahead: dict[str, asyncio.Task[Reply]] = {}  # by the request's key: calls made before their sample is due
        self._busy = 0  # calls in flight or waiting for a slot
        self.traffic = Traffic()
        self.stopping = self.aborted = False

    def abort(self) -> None:
        """Do not even wait for what is in flight: whoever reads from `stream` is cancelled next."""
        self.stopping = self.aborted = True

    def stop(self) -> None:
        """Send no more calls: those in flight are awaited and recorded, then `Interrupted` ends the run."""
        self.stopping = True
        drain = getattr(self._backend, "drain", None)
        if drain is not None:
            drain()  # calls that wait inside the backend are not in flight

    async def ask(self, ask: Ask, due: Due = None) -> Reply:
        """One reply, from the journal or, once `due` has come back, the model. Raises ServerError or StoreError: the run cannot
        go on."""
        if (begun := self._ahead.pop(ask.request.key, None)) is not None:
            return await begun
        return await self._asked(ask, due)

    async def _asked(self, ask: Ask, due: Due = None) -> Reply:
        known = self._journal.find(ask)
        if known is not None:
            self.traffic.replayed += 1
            return known
        if due is not None:
            await due()
        self._busy += 1
        try:
            return await self._call(ask)
        finally:
            self._busy -= 1

    async def _call(self, ask: Ask) -> Reply:
        async with self._turns.get(ask.request.model) or nullcontext(), self._slots:
            if self.stopping:
                raise Interrupted(DRAINED)
            start, reply, model = time.monotonic(), None, ask.request.model
            self.traffic.sent(model)
            try:
                reply = _clean(await self._backend.chat(ask.request))
            finally:
                seconds = time.monotonic() - start - (self._queued(ask.request) if self._queued else 0.0)
                self.traffic.returned(model, reply, seconds)
        self._journal.record(ask, reply, seconds)
        return reply

    async def _ask_all(self, asks: list[Ask], due: Due) -> list[Reply]:
        """The replies to calls that go out together. A fault ends the others too, but not where the run was told to stop: those
        that are in flight then are paid for, and awaited."""
        tasks = [asyncio.ensure_future(self.ask(ask, due)) for ask in asks]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            if self.stopping and not self.aborted:
                await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        faults = [fault for task in tasks if not task.cancelled() and (fault := task.exception()) is not None]
        if faults:
            raise faults[0]
        return [task.result() for task in tasks]

    async def drive(self, talk: Talk[T], due: Due = None) -> T:
        """Run one protocol to its end and return what it returns; `due`: awaited before a model is asked."""
        try:
            asks = next(talk)
            while True:
                if len(asks) == 1:
                    replies = [await self.ask(asks[0], due)]
                else:
                    replies = await self._ask_all(asks, due)
                asks = talk.send(replies)
        except StopIteration as stop:
            value: T = stop.value
            return value
        finally:
            talk.close()

    async def settle(self) -> None:
        """End the calls that were made ahead and that nobody asked for after all (a run that was told to stop awaits them)."""
        tasks = list(self._ahead.values())
        self._ahead = {}
        for task in tasks if self.aborted or not self.stopping else ():
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def stream(
        self,
        talks: Iterator[Talk[T]],
        allowed: Callable[[int], int] | None = None,
        later: Callable[[], Ask | None] | None = None,
    ) -> AsyncGenerator[T, None]:
        """Drive `talks` at once and yield their results in order.

        Talks not yet started do not exist: the iterator is advanced as slots come free. `allowed(yielded)` says how many
        may have been started by now (it must exceed `yielded`); None: no such limit. Closing the iterator early cancels
        what is in flight. `later()` gives the next call that is likely to be due once this stream has ended, or None: such
        calls take slots that would be idle, and their replies wait for `ask`; `settle` must follow.
        """
        tasks: dict[int, asyncio.Task[T]] = {}  # started, not yet yielded
        wake = asyncio.Event()
        if getattr(self._backend, "queues", False):
            later = None  # models take turns there: an idle slot costs nothing, a call in vain does
        started, yielded, exhausted, active = 0, 0, False, 0
        faulty: list[asyncio.Task[T]] = []
        frontier = Frontier()

        def settled(task: asyncio.Task[T]) -> None:
            nonlocal active
            active -= 1
            if task.cancelled() or task.exception() is not None:
                faulty.append(task)
            wake.set()

        try:
            while True:
                limit = yielded + self.concurrency * AHEAD
                if allowed is not None:
                    limit = min(limit, max(allowed(yielded), yielded + 1))
                while not exhausted and started < limit and active < self.concurrency:
                    talk = next(talks, None)
                    if talk is None:
                        exhausted = True
                        break
                    tasks[started] = asyncio.ensure_future(self.drive(talk, partial(frontier.reach, started)))
                    tasks[started].add_done_callback(settled)
                    started, active = started + 1, active + 1
                if not tasks:
                    return
                for _ in range(self.concurrency - self._busy if self._busy else 0):  # a replay waits for nothing, and asks nothing
                    if later is None or (ask := later()) is None:
                        break
                    self._ahead[ask.request.key] = begun = asyncio.ensure_future(self._asked(ask))
                    begun.add_done_callback(lambda _: wake.set())
                if faulty:  # a fault anywhere ends the run at once, not when its turn comes
                    faulty[0].result()
                if tasks[yielded].done():
                    task = tasks.pop(yielded)
                    yielded += 1
                    yield task.result()
                    frontier.move(yielded)
                    continue
                wake.clear()
                await wake.wait()
        finally:
            if self.stopping and not self.aborted:
                frontier.open()  # those told to stop end by themselves
            else:  # and none that waits at the frontier may ask in the moment before it is cancelled
                for task in tasks.values():
                    task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)


def _clean(reply: Reply) -> Reply:
    """The reply as files can hold it, before anything is made of it."""
    text, finish, error = well_formed(reply.text), well_formed(reply.finish), well_formed(reply.error)
    same = text is reply.text and finish is reply.finish and error is reply.error
    return reply if same else replace(reply, text=text, finish=finish, error=error)
