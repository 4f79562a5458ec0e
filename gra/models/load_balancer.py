"""Which server gets a call and when, and how each server does. No I/O of its own but `alive`, and no clock but the event loop's:
a loop with a virtual clock drives it as a real one does.

A call waits here until a server of its model is healthy, below its own limit of calls in flight (in_flight_limit.py), and the
limits over all servers leave room. Waiting calls hold nothing. The one that began first goes first, its repetitions too.

Health is kept for each (URL, model), since behind one URL one model may be down and the others not. A failed request says
little: the request may be at fault (passing_faults.py). When SUSPECT *different* requests failed with no answer in between, the
server's list of models is asked for, and when BROKEN did, a short question of our own. A server that does not answer is
unhealthy: it gets no calls until it lists its models again, and then one call first. Timeouts alone never make a server
unhealthy while it lists its models: it is overloaded, which is what its limit is for.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gra.errors import DRAINED, Interrupted
from gra.models.http_client import Fault
from gra.models.http_retry import backoff
from gra.models.in_flight_limit import InFlightLimit
from gra.models.passing_faults import PassingFaults

log = logging.getLogger(__name__)

SUSPECT, BROKEN = 3, 8  # different requests that failed in a row
CHECK_EVERY_S = 1.0  # seconds between two questions to a suspect server at least
FIRST_PROBE_S, LAST_PROBE_S = 1.0, 15.0  # seconds between probes of an unhealthy server: doubled each time


class Server:
    """One model at one base URL, and how it does. Times are those of the event loop's clock."""

    def __init__(self, url: str, model: str, most: int | None = None, passing: PassingFaults | None = None):
        self.url, self.model = url, model
        self.chat_url = f"{url}/chat/completions"
        self.limit = InFlightLimit(most)
        self.passing = passing or PassingFaults()
        self.in_flight = 0
        self.beside = [self]  # the same URL under all of its models: they may share one queue
        self.answered, self.answered_at = 0, float("-inf")
        self.longest_s, self.quickest_s = 0.0, float("inf")  # the most and the least that calls took lately
        self.failing: dict[str, str] = {}  # requests that failed since the last answer: key -> kind of fault
        self.failing_since: float | None = None
        self.failed_at = 0.0
        self.unhealthy: str | None = None  # why
        self.outages = 0  # how often it became unhealthy
        self.checking, self.checked_chat, self.checked_at = False, False, float("-inf")
        self.probe_s = FIRST_PROBE_S
        self.not_before = 0.0  # set where it asks for patience (429)
        self.refusals = 0  # waits of that kind without an answer in between

    @property
    def suspect(self) -> bool:
        """Whether so many different requests failed in a row that they are hardly at fault themselves."""
        return len(self.failing) >= SUSPECT

    @property
    def site_answered_at(self) -> float:
        """When this URL last answered a call to any of its models."""
        return max(server.answered_at for server in self.beside)

    def state(self) -> dict[str, Any]:
        """For people: what status.json and run.json say of it."""
        return {
            "url": self.url, "model": self.model, "in_flight": self.in_flight, "limit": self.limit.value,
            "answered": self.answered, "unhealthy": self.unhealthy,
        }  # fmt: skip


@dataclass(eq=False)
class Call:
    """One attempt: it holds a place at `server` until it is released."""

    server: Server
    key: str  # of the request
    sent: float
    ahead: int = 0  # calls that were at the server when it was sent
    answered_before: int = 0  # the server's count then
    hangs: bool = False  # it was given up although the server answered calls that were sent later

    @property
    def others(self) -> int:
        """Calls that the server answered since this one was sent."""
        return self.server.answered - self.answered_before


@dataclass(eq=False)
class _Waiter:
    ticket: int
    key: str
    avoid: Server | None
    place: asyncio.Future[Call] = field(repr=False)


class LoadBalancer:
    """Places at `servers` (model -> where it is served). `alive(server)` asks a server for its list of models, `answers(call)` for
    a short reply, in the place of `call`, and tells the outcome with `answered` or `failed`; `per_server`: calls in flight at one
    URL, `per_model`: at one model, `concurrency`: over all of them."""

    def __init__(
        self,
        servers: Mapping[str, Sequence[Server]],
        alive: Callable[[Server], Awaitable[bool]],
        answers: Callable[[Call], Awaitable[bool]],
        *,
        give_up_after_s: float,
        per_server: int | None = None,
        per_model: int | None = None,
        uniform: Callable[[float, float], float] | None = None,
    ):
        self._servers, self._alive, self._answers, self._give_up_after_s = servers, alive, answers, give_up_after_s
        self._per_server, self._per_model = per_server or _NO_LIMIT, per_model or _NO_LIMIT
        self.uniform = uniform or random.Random().uniform
        self.concurrency = _NO_LIMIT
        self._in_flight = 0
        self._of_url: dict[str, int] = {server.url: 0 for server in self.servers}
        self._of_model: dict[str, int] = dict.fromkeys(servers, 0)
        self._queues: dict[str, deque[_Waiter]] = {model: deque() for model in servers}
        for server in self.servers:
            server.beside = [other for other in self.servers if other.url == server.url]
        self._tickets = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = asyncio.Event()
        self._timers: dict[str, asyncio.TimerHandle] = {}  # by model: where only time can free a place

    @property
    def servers(self) -> list[Server]:
        """All of them, in the order of the models."""
        return [server for group in self._servers.values() for server in group]

    @property
    def in_flight(self) -> Mapping[str, int]:
        """Calls at servers now, by model."""
        return self._of_model

    def ticket(self) -> int:
        """The place in the line of a call that begins now."""
        self._tickets += 1
        return self._tickets

    # --- places -------------------------------------------------------------------------------------------------------------

    async def acquire(self, model: str, key: str, ticket: int, avoid: Server | None = None) -> Call:
        """A place at a server of `model` for the request `key`, elsewhere than at `avoid` if there is a choice; `release` must
        follow. Raises Fault where no server came back within `give_up_after_s`, Interrupted after `drain`."""
        self._check_draining()
        queue = self._queues[model]
        if not queue and (server := self._free(model, avoid)) is not None:
            return self._take(server, key)
        waiter = _Waiter(ticket, key, avoid, asyncio.get_running_loop().create_future())
        if queue and ticket < queue[-1].ticket:  # a repetition
            queue.insert(sum(other.ticket < ticket for other in queue), waiter)
        else:
            queue.append(waiter)
        self._dispatch_timed(model)
        try:
            return await waiter.place
        except asyncio.CancelledError:
            if waiter.place.done() and not waiter.place.cancelled() and waiter.place.exception() is None:
                self.release(waiter.place.result())
            raise

    def again(self, call: Call, key: str) -> Call:
        """Another request, of the key `key`, in the place of `call`."""
        return Call(call.server, key, asyncio.get_running_loop().time(), call.server.in_flight - 1, call.server.answered)

    def release(self, call: Call) -> None:
        """The call is at its server no longer."""
        server = call.server
        server.in_flight -= 1
        self._in_flight -= 1
        self._of_url[server.url] -= 1
        self._of_model[server.model] -= 1
        self._dispatch()

    def _free(self, model: str, avoid: Server | None) -> Server | None:
        """The server for the next call to `model`: of those that may have one, that with the fewest in flight."""
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

    def _take(self, server: Server, key: str) -> Call:
        call = Call(server, key, asyncio.get_running_loop().time(), server.in_flight, server.answered)
        server.in_flight += 1
        self._in_flight += 1
        self._of_url[server.url] += 1
        self._of_model[server.model] += 1
        return call

    def _dispatch(self) -> None:
        """Give free places to those that wait, the oldest first."""
        while self._in_flight < self.concurrency:
            best: tuple[deque[_Waiter], Server] | None = None
            for model, queue in self._queues.items():
                while queue and queue[0].place.done():  # cancelled
                    queue.popleft()
                if queue and (best is None or queue[0].ticket < best[0][0].ticket):
                    server = self._free(model, queue[0].avoid)
                    if server is not None:
                        best = queue, server
            if best is None:
                return
            waiter = best[0].popleft()
            waiter.place.set_result(self._take(best[1], waiter.key))

    def _dispatch_timed(self, model: str) -> None:
        """As `_dispatch`; where nothing but time will free a server of `model`, also when that time has come."""
        self._dispatch()
        queue = self._queues[model]
        if not queue:
            return
        loop, servers = asyncio.get_running_loop(), self._servers[model]
        now, until = loop.time(), self.give_up_at(model)
        healthy = [s for s in servers if s.unhealthy is None]
        if any(s.not_before <= now for s in healthy):
            return  # it waits for a place: one will be released
        soonest = min((s.not_before for s in healthy), default=until)
        if healthy and soonest - now > self._give_up_after_s:
            wait = f"asked to wait {soonest - now:.0f} s, longer than runtime.give_up_after_s allows"
            self._fail(queue, Fault("busy", wait))
        elif not healthy and until <= now:
            why = next((s.unhealthy for s in servers if s.unhealthy), "busy")
            self._fail(queue, Fault("connection", f"no server came back in time ({why})"))
        else:
            if (timer := self._timers.pop(model, None)) is not None:
                timer.cancel()
            self._timers[model] = loop.call_at((soonest if healthy else until) + 1e-3, self._dispatch_timed, model)

    def _fail(self, queue: deque[_Waiter], fault: Exception) -> None:
        while queue:
            if not (place := queue.popleft().place).done():
                place.set_exception(fault)

    # --- draining -----------------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Calls that wait, for a server or for their next attempt, end with Interrupted: they are in flight nowhere."""
        self._draining.set()
        for queue in self._queues.values():
            self._fail(queue, Interrupted(DRAINED))

    async def pause(self, seconds: float) -> None:
        """Wait before the next attempt. Raises Interrupted where that is not to come any more."""
        try:
            await asyncio.wait_for(self._draining.wait(), seconds)
        except TimeoutError:
            return
        self._check_draining()

    def _check_draining(self) -> None:
        if self._draining.is_set():
            raise Interrupted(DRAINED)

    # --- health -------------------------------------------------------------------------------------------------------------

    def answered(self, call: Call, failures: int = 0, *, usual: bool = True) -> None:
        """The server answered the call, after `failures` attempts that had failed. A refusal is an answer, too, but not a `usual`
        one, whose time counts."""
        server, now = call.server, asyncio.get_running_loop().time()
        server.answered += 1
        server.answered_at = now
        if usual:
            server.longest_s = max(now - call.sent, 0.98 * server.longest_s)
            server.quickest_s = min(now - call.sent, 1.02 * server.quickest_s)
        server.limit.answered(server.in_flight)
        server.passing.recovered(failures)
        if server.failing_since is not None:
            server.failing.clear()
            server.failing_since, server.probe_s, server.refusals, server.checked_chat = None, FIRST_PROBE_S, 0, False

    def failed(self, call: Call, fault: Fault) -> None:
        """The call failed at its server."""
        server, now = call.server, asyncio.get_running_loop().time()
        if server.failing_since is None or call.sent - server.failed_at > self._give_up_after_s:  # it was not asked meanwhile
            server.failing_since = now
        server.failed_at = now
        if fault.kind == "busy" or (fault.kind == "timeout" and not call.hangs):
            self.overloaded(call, str(fault))
        if fault.kind == "busy":
            self._hold_back(server, fault, now)
            return
        if fault.kind == "timeout" and not call.hangs:
            server.longest_s = max(server.longest_s, now - call.sent)
        server.failing[call.key] = fault.kind
        if not server.suspect or server.unhealthy is not None:
            return
        broken = sum(kind != "timeout" for kind in server.failing.values()) >= BROKEN
        if not server.checking and (now - server.checked_at >= CHECK_EVERY_S or (broken and not server.checked_chat)):
            server.checking = True
            self._start(self._check(server, broken, str(fault)))

    def overloaded(self, call: Call, why: str) -> None:
        """The call shows that its server has too many at once."""
        server = call.server
        if server.limit.overloaded(call.sent, asyncio.get_running_loop().time()):
            log.info("%s, model `%s`: at most %d calls in flight now (%s)", server.url, server.model, server.limit.value, why)

    def _hold_back(self, server: Server, fault: Fault, now: float) -> None:
        """No calls for a server that said 429 until it is time: as it asks, or longer each time."""
        if now >= server.not_before:  # the first to be told since the last wait: the others of its time say nothing new
            server.refusals += 1
        least = backoff(server.refusals, self.uniform)  # also where it says 0, or a time that is past
        server.not_before = max(server.not_before, now + max(fault.retry_after or 0.0, least))
        self._dispatch_timed(server.model)

    def give_up_at(self, model: str) -> float:
        """When waiting for `model` is in vain: no server of it has answered since, for `give_up_after_s`. inf: one is well."""
        since = [server.failing_since for server in self._servers[model]]
        return max((s for s in since if s is not None), default=0.0) + self._give_up_after_s if None not in since else float("inf")

    def set_aside(self, server: Server, why: str) -> None:
        """`server` is unhealthy: no calls for it until a probe is answered."""
        server.unhealthy = why
        server.outages += 1
        if server.failing_since is None:
            server.failing_since = asyncio.get_running_loop().time()
        log.warning("%s, model `%s`, is unhealthy and is set aside (%s); probing until it answers", server.url, server.model, why)
        self._start(self._watch(server))
        self._dispatch_timed(server.model)

    async def _check(self, server: Server, chat: bool, why: str) -> None:
        """Ask a suspect server for its models, and with `chat` for a reply; one that does not answer is unhealthy. This takes no
        place from a call: it is one call more for a moment."""
        try:
            alive = await self._alive(server)
            if alive and chat:
                call = self._take(server, "")
                try:
                    if await self._answers(call):
                        return
                finally:
                    self.release(call)
            if server.suspect and server.unhealthy is None and (chat or not alive):
                more = f"{len(server.failing)} different requests failed in a row" if alive else "its list of models cannot be had"
                self.set_aside(server, f"{why}; {more}")
        finally:
            server.checking, server.checked_chat, server.checked_at = False, chat, asyncio.get_running_loop().time()

    async def _watch(self, server: Server) -> None:
        while True:
            await asyncio.sleep(server.probe_s * self.uniform(0.8, 1.2))
            server.probe_s = min(2 * server.probe_s, LAST_PROBE_S)  # until a call succeeds: a probe proves little
            if await self._alive(server):
                break
        server.unhealthy = None
        server.failing.clear()
        if not self._queues[server.model]:
            server.failing_since = None
        server.limit.restart()
        log.warning("%s, model `%s`, is back", server.url, server.model)
        self._dispatch()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop probing."""
        for timer in self._timers.values():
            timer.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


_NO_LIMIT = 1 << 62
