"""Queues calls and gives each a slot at a healthy server of its model. Does no I/O. The time comes from the event loop
alone, so tests can use an event loop with a virtual clock.

A call waits until a server of its model is healthy (server_health.py) and has fewer calls in flight than its limit
(in_flight_limit.py), and until the limits per URL, per model and overall allow one more call. Waiting calls occupy no
slot. The oldest call goes first; a retry keeps its call's place.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from gra.errors import DRAINED, Interrupted
from gra.models.openai.http_client import Fault
from gra.models.openai.server_health import ServerHealth
from gra.models.openai.server_state import InFlightCall, Server

_NO_LIMIT = 1 << 62


@dataclass(eq=False)
class _Waiter:
    ticket: int
    key: str
    avoid: Server | None
    slot: asyncio.Future[InFlightCall] = field(repr=False)


class LoadBalancer:
    """Gives each call a slot at a server of its model. Calls wait in a queue until a slot is free.

    `servers`: a mapping from each model to its servers. `alive` and `answers`: functions that check a server (see
    `ServerHealth`). Three limits hold for the calls in flight: `per_server` for one URL, `per_model` for one model, and
    the attribute `concurrency` for all models together.

    The code that gets a slot for a call must report the outcome of the call to the attribute `health`.
    """

    def __init__(
        self,
        servers: Mapping[str, list[Server]],
        alive: Callable[[Server], Awaitable[bool]],
        answers: Callable[[InFlightCall], Awaitable[bool]],
        *,
        give_up_after_s: float,
        per_server: int | None = None,
        per_model: int | None = None,
        uniform: Callable[[float, float], float] | None = None,
    ):
        self._servers, self._give_up_after_s = servers, give_up_after_s
        self._per_server, self._per_model = per_server or _NO_LIMIT, per_model or _NO_LIMIT
        self.uniform = uniform or random.Random().uniform
        self.health = ServerHealth(servers, alive, answers, self, give_up_after_s=give_up_after_s, uniform=self.uniform)
        self.concurrency = _NO_LIMIT
        self._in_flight = 0
        self._of_url: dict[str, int] = {server.url: 0 for server in self.servers}
        self._of_model: dict[str, int] = dict.fromkeys(servers, 0)
        self._queues: dict[str, deque[_Waiter]] = {model: deque() for model in servers}
        self._note_neighbours()
        self._tickets = 0
        self._draining = asyncio.Event()
        # model -> timer, for each model that gets its next free slot at a known time
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def add(self, server: Server) -> None:
        """Give slots at `server` from now on."""
        self._servers[server.model].append(server)
        self._of_url.setdefault(server.url, 0)
        self._note_neighbours()
        self.dispatch_timed(server.model)

    def retire(self, server: Server) -> None:
        """Give no more slots at `server`. Its calls in flight continue."""
        self._servers[server.model].remove(server)
        self._note_neighbours()
        self.health.retire(server)

    def _note_neighbours(self) -> None:
        for server in self.servers:
            server.beside = [other for other in self.servers if other.url == server.url]

    @property
    def servers(self) -> list[Server]:
        """All servers, in the order of the models."""
        return [server for group in self._servers.values() for server in group]

    @property
    def in_flight(self) -> Mapping[str, int]:
        """Calls in flight now, by model."""
        return self._of_model

    def ticket(self) -> int:
        """Return the ticket of a call that begins now. A ticket is a number, and the call passes it to `acquire`. Calls
        with lower numbers come first in the queue. A retry of the call passes the same number again, so that the call
        does not lose its place."""
        self._tickets += 1
        return self._tickets

    def waiting(self, model: str) -> bool:
        """Return whether there are calls to `model` that wait for a slot."""
        return bool(self._queues[model])

    # --- slots --------------------------------------------------------------------------------------------------------------

    async def acquire(self, model: str, key: str, ticket: int, avoid: Server | None = None) -> InFlightCall:
        """Wait for a slot at a server of `model`, and return the call that occupies the slot. The caller must later
        give the slot back with the method `release`.

        `key`: the key of the request that is to be sent. `ticket`: the call's place in the queue. `avoid`: a server
        that is used only if no other server is free. Raises Fault if all servers of the model stay unhealthy for
        `give_up_after_s` seconds. Raises Interrupted if the method `drain` has been called.
        """
        self._check_draining()
        queue = self._queues[model]
        if not queue and (server := self._free(model, avoid)) is not None:
            return self.take(server, key)
        waiter = _Waiter(ticket, key, avoid, asyncio.get_running_loop().create_future())
        if queue and ticket < queue[-1].ticket:  # a retry
            queue.insert(sum(other.ticket < ticket for other in queue), waiter)
        else:
            queue.append(waiter)
        self.dispatch_timed(model)
        try:
            return await waiter.slot
        except asyncio.CancelledError:
            if waiter.slot.done() and not waiter.slot.cancelled() and waiter.slot.exception() is None:
                self.release(waiter.slot.result())
            raise

    def again(self, call: InFlightCall, key: str) -> InFlightCall:
        """Return an `InFlightCall` for a second request that uses the slot of `call`. `key`: the key of the second
        request."""
        return InFlightCall(
            call.server, key, asyncio.get_running_loop().time(), call.server.in_flight - 1, call.server.answered
        )

    def release(self, call: InFlightCall) -> None:
        """Free the call's slot."""
        server = call.server
        server.in_flight -= 1
        self._in_flight -= 1
        self._of_url[server.url] -= 1
        self._of_model[server.model] -= 1
        self.dispatch()

    def _free(self, model: str, avoid: Server | None) -> Server | None:
        """Return the server for the next call to `model`: the one with the fewest calls in flight, if possible not
        `avoid`; None if no server has a free slot."""
        if self._in_flight >= self.concurrency or self._of_model[model] >= self._per_model:
            return None
        now = asyncio.get_running_loop().time()
        free = [
            s
            for s in self._servers[model]
            if s.unhealthy is None
            and s.in_flight < s.limit.value
            and s.not_before <= now
            and self._of_url[s.url] < self._per_server
        ]
        if not free:
            return None
        return free[0] if len(free) == 1 else min(free, key=lambda s: (s is avoid, s.in_flight))

    def take(self, server: Server, key: str) -> InFlightCall:
        """Occupy a slot at `server` for the request with this `key`, even if a limit is reached."""
        call = InFlightCall(server, key, asyncio.get_running_loop().time(), server.in_flight, server.answered)
        server.in_flight += 1
        self._in_flight += 1
        self._of_url[server.url] += 1
        self._of_model[server.model] += 1
        return call

    def dispatch(self) -> None:
        """Give free slots to waiting calls, the oldest first."""
        if not any(self._queues.values()):  # the usual case
            return
        while self._in_flight < self.concurrency:
            best: tuple[deque[_Waiter], Server] | None = None
            for model, queue in self._queues.items():
                while queue and queue[0].slot.done():  # cancelled
                    queue.popleft()
                if queue and (best is None or queue[0].ticket < best[0][0].ticket):
                    server = self._free(model, queue[0].avoid)
                    if server is not None:
                        best = queue, server
            if best is None:
                return
            waiter = best[0].popleft()
            waiter.slot.set_result(self.take(best[1], waiter.key))

    def dispatch_timed(self, model: str) -> None:
        """Give free slots to waiting calls. If all servers of `model` are unhealthy, or have asked GRA to wait before
        the next call, set a timer to try again. The waiting calls raise Fault if no server becomes healthy in time, or
        if the servers ask for too long a wait."""
        self.dispatch()
        queue = self._queues[model]
        if not queue:
            return
        loop, servers = asyncio.get_running_loop(), self._servers[model]
        now, until = loop.time(), self.health.give_up_at(model)
        healthy = [s for s in servers if s.unhealthy is None]
        if any(s.not_before <= now for s in healthy):
            return  # a call in flight will release a slot and dispatch again
        soonest = min((s.not_before for s in healthy), default=until)
        if healthy and soonest - now > self._give_up_after_s:
            wait = f"the server asks to wait {soonest - now:.0f} s, more than runtime.give_up_after_s"
            self._fail(queue, Fault("busy", wait))
        elif not healthy and until <= now:
            why = next((s.unhealthy for s in servers if s.unhealthy), "busy" if servers else "it has no server")
            self._fail(queue, Fault("connection", f"no server came back in time ({why})"))
        else:
            if (timer := self._timers.pop(model, None)) is not None:
                timer.cancel()
            self._timers[model] = loop.call_at((soonest if healthy else until) + 1e-3, self.dispatch_timed, model)

    def _fail(self, queue: deque[_Waiter], fault: Exception) -> None:
        while queue:
            if not (slot := queue.popleft().slot).done():
                slot.set_exception(fault)

    # --- draining -----------------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Make all calls that wait for a server or for a retry raise Interrupted. Calls in flight continue."""
        self._draining.set()
        for queue in self._queues.values():
            self._fail(queue, Interrupted(DRAINED))

    async def pause(self, seconds: float) -> None:
        """Wait before a retry. Raises Interrupted after `drain`."""
        try:
            await asyncio.wait_for(self._draining.wait(), seconds)
        except TimeoutError:
            return
        self._check_draining()

    def _check_draining(self) -> None:
        if self._draining.is_set():
            raise Interrupted(DRAINED)

    async def close(self) -> None:
        """Stop timers and health checks."""
        for timer in self._timers.values():
            timer.cancel()
        await self.health.close()
