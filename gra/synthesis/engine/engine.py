"""Runs many exchanges concurrently. An exchange is a generator that yields calls and receives replies. The engine takes
a reply from the journal if it is recorded there, and otherwise calls the model through a backend.

Results do not depend on the order in which models answer: the engine yields the results in the order of the proposals.
A proposal that turns out not to be needed has no effect, except that its replies are in the journal.
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
from gra.models.base import Backend, Reply
from gra.synthesis.committee.calls import Call, Exchange
from gra.synthesis.engine.frontier import Frontier
from gra.synthesis.engine.journal import Journal
from gra.wellformed import well_formed

T = TypeVar("T")
Due = Callable[[], Awaitable[None]] | None
AHEAD = 16  # exchanges that may be started and not yet yielded, as a multiple of the concurrency


@dataclass
class Traffic:
    """Counts the calls of this process, for the display of progress and for run.json. After a restart, the counts begin
    at 0 again, so no result may depend on them."""

    requested: int = 0  # calls sent to models
    replayed: int = 0  # calls answered by the journal
    seconds: float = 0.0  # time waited for models, summed over calls
    answered: int = 0
    tokens_in: int = 0  # tokens of answered calls, where the server reported them
    tokens_out: int = 0
    in_flight: dict[str, int] = field(default_factory=dict)  # model -> its calls in flight

    def sent(self, model: str) -> None:
        """Count a call as sent. The caller must call `returned` when the call ends, also if it fails."""
        self.requested += 1
        self.in_flight[model] = self.in_flight.get(model, 0) + 1

    def returned(self, model: str, reply: Reply | None, seconds: float) -> None:
        """Count a call as ended. `seconds`: how long the call took. `reply`: None if the call failed or was
        cancelled."""
        self.in_flight[model] -= 1
        if reply is not None:
            self.answered += 1
            self.seconds += seconds
            self.tokens_in += reply.tokens_in or 0
            self.tokens_out += reply.tokens_out or 0


class Engine:
    """Runs exchanges, which are generators that yield calls and receive replies. The engine takes recorded replies from
    `journal`, and makes all other calls through `backend`.

    `concurrency`: the largest number of exchanges in progress. It is also the largest number of calls in flight over
    all models. But a backend that queues calls itself gets all of them at once.
    """

    def __init__(self, backend: Backend, journal: Journal, concurrency: int):
        self._backend, self._journal, self.concurrency = backend, journal, concurrency
        # A backend that queues calls until their model is loaded must see every due call, so the engine does not limit
        # them. A backend with `limit_calls` enforces the limit itself; while a call waits for a retry, another call gets
        # its slot.
        self._can = can = backend.capabilities
        if can.limit_calls is not None:
            can.limit_calls(concurrency)
        self._slots = asyncio.Semaphore(sys.maxsize if can.limit_calls or can.queues else concurrency)
        # A call takes its model's turn before a slot. So it holds no slot, which another model could use, while it waits.
        limit = None if can.limit_calls else can.per_model
        self._turns = {model: asyncio.Semaphore(limit) for model in backend.models} if limit else {}
        self._ahead: dict[str, asyncio.Task[Reply]] = {}  # request key -> a call that was sent before its sample is due
        self._busy = 0  # calls in flight or waiting for a slot
        self.traffic = Traffic()
        self.stopping = self.aborted = False

    def abort(self) -> None:
        """Stop without waiting for the calls in flight. After this, the caller must cancel the task that iterates over
        `stream`."""
        self.stopping = self.aborted = True

    def stop(self) -> None:
        """Send no more calls. The engine still waits for the calls in flight and records their replies. Then `stream`
        raises `Interrupted`."""
        self.stopping = True
        self._can.drain()  # calls queued inside the backend are not in flight

    async def ask(self, call: Call, due: Due = None) -> Reply:
        """Return the reply to one call, from the journal or from the model. If the journal does not have it and `due`
        is given, await `due()` before the model is called. Raises ServerError or StoreError if the run cannot
        continue."""
        if (begun := self._ahead.pop(call.request.key, None)) is not None:
            return await begun
        return await self._answer(call, due)

    async def _answer(self, call: Call, due: Due = None) -> Reply:
        known = self._journal.find(call)
        if known is not None:
            self.traffic.replayed += 1
            return known
        if due is not None:
            await due()
        self._busy += 1
        try:
            return await self._call(call)
        finally:
            self._busy -= 1

    async def _call(self, call: Call) -> Reply:
        async with self._turns.get(call.request.model) or nullcontext(), self._slots:
            if self.stopping:
                raise Interrupted(DRAINED)
            start, reply, model = time.monotonic(), None, call.request.model
            self.traffic.sent(model)
            try:
                reply = _clean(await self._backend.chat(call.request))
            finally:
                seconds = time.monotonic() - start - self._can.queued(call.request)
                self.traffic.returned(model, reply, seconds)
        self._journal.record(call, reply, seconds)
        return reply

    async def _reply_all(self, calls: list[Call], due: Due) -> list[Reply]:
        """Send several calls at the same time and return their replies. If one call fails, cancel the others. But if
        the run is stopping, wait for the others, so that replies which the user pays for are recorded."""
        tasks = [asyncio.ensure_future(self.ask(call, due)) for call in calls]
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

    async def drive(self, exchange: Exchange[T], due: Due = None) -> T:
        """Run one exchange to its end and return its result. If `due` is given, await `due()` before each call to a
        model."""
        try:
            calls = next(exchange)
            while True:
                if len(calls) == 1:
                    replies = [await self.ask(calls[0], due)]
                else:
                    replies = await self._reply_all(calls, due)
                calls = exchange.send(replies)
        except StopIteration as stop:
            value: T = stop.value
            return value
        finally:
            exchange.close()

    async def settle(self) -> None:
        """Cancel the calls that `stream` sent in advance and that were not needed. If the run is stopping, wait for
        their replies instead."""
        tasks = list(self._ahead.values())
        self._ahead = {}
        for task in tasks if self.aborted or not self.stopping else ():
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def stream(
        self,
        exchanges: Iterator[Exchange[T]],
        allowed: Callable[[int], int] | None = None,
        later: Callable[[], Call | None] | None = None,
    ) -> AsyncGenerator[T, None]:
        """Run `exchanges` concurrently and yield their results in order. If the caller closes the stream early, the
        calls in flight are cancelled.

        The next exchange is taken from the iterator only when fewer than `concurrency` exchanges are in progress. So it
        can start at once. `allowed(n)` returns how many exchanges may have been started in total when n results have
        been yielded. The engine always allows at least n + 1. If `allowed` is None, there is no such limit.

        `later()` returns a call that will probably be needed after this stream, or None. While fewer than `concurrency`
        calls are in flight, the engine sends such calls in advance. A later `ask` for the same request then returns the
        reply. Call `settle` after the stream.
        """
        tasks: dict[int, asyncio.Task[T]] = {}  # started, not yet yielded
        wake = asyncio.Event()
        if self._can.queues:
            later = None  # in such a backend models take turns: an idle slot costs nothing, an unneeded call does
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
                    exchange = next(exchanges, None)
                    if exchange is None:
                        exhausted = True
                        break
                    tasks[started] = asyncio.ensure_future(self.drive(exchange, partial(frontier.reach, started)))
                    tasks[started].add_done_callback(settled)
                    started, active = started + 1, active + 1
                if not tasks:
                    return
                # A replay has no call in flight (`_busy` is 0), so it sends none ahead.
                for _ in range(self.concurrency - self._busy if self._busy else 0):
                    if later is None or (call := later()) is None:
                        break
                    self._ahead[call.request.key] = begun = asyncio.ensure_future(self._answer(call))
                    begun.add_done_callback(lambda _: wake.set())
                if faulty:  # a fault ends the run at once, before its result is due
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
                frontier.open()  # exchanges that wait at the frontier resume and end with Interrupted
            else:  # the frontier stays closed: no exchange may send a call before it is cancelled
                for task in tasks.values():
                    task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)


def _clean(reply: Reply) -> Reply:
    """Return the reply with lone surrogates replaced, because files cannot hold them."""
    text, finish, error = well_formed(reply.text), well_formed(reply.finish), well_formed(reply.error)
    same = text is reply.text and finish is reply.finish and error is reply.error
    return reply if same else replace(reply, text=text, finish=finish, error=error)
