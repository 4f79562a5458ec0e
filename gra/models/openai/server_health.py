"""Decides which servers are unhealthy, probes unhealthy servers until they answer again, and holds back calls after
HTTP 429.

Health is kept per (URL, model), because one of several models behind a URL can be down. A single failed request proves
little: the request may be at fault (passing_faults.py). After 3 (`SUSPECT`) *different* requests in a row have failed,
GRA requests the server's list of models; after 8 (`BROKEN`) different requests, it also asks the server a short
question. A server that does not answer this check is unhealthy. It gets no calls until it lists its models again; then
it first gets a single call. A server that lists its models never becomes unhealthy through timeouts alone: it is
overloaded, and gets a lower limit of calls in flight (in_flight_limit.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from gra.models.openai.http_client import Fault
from gra.models.openai.http_retry import backoff
from gra.models.openai.server_state import InFlightCall, Server

log = logging.getLogger(__name__)

BROKEN = 8  # different requests that failed in a row, not counting timeouts
CHECK_EVERY_S = 1.0  # minimum seconds between two checks of a suspect server
LAST_PROBE_S = 15.0  # longest time between probes of an unhealthy server; the time doubles with each probe


class Queue(Protocol):
    """The protocol of a queue of calls, as far as the health checks use it. load_balancer.py implements it."""

    def take(self, server: Server, key: str) -> InFlightCall:
        """Occupy a slot at `server` and return the call."""
        ...

    def release(self, call: InFlightCall) -> None:
        """Free the call's slot."""
        ...

    def dispatch(self) -> None:
        """Give free slots to waiting calls."""
        ...

    def dispatch_timed(self, model: str) -> None:
        """Give free slots to waiting calls. If no server of `model` may be called yet, try again as soon as one may be
        called."""
        ...

    def waiting(self, model: str) -> bool:
        """Return whether any call to `model` waits for a slot."""
        ...


class ServerHealth:
    """Records which servers are healthy, and checks servers that fail.

    `servers`: a mapping from each model to its servers. `alive(server)`: a function that requests a server's list of
    models and returns whether the server answers. `answers(call)`: a function that asks the server of `call` a short
    question and returns whether the server answers. The question uses the slot of `call`, so it does not add to the
    number of calls in flight. The function also calls this object's method `answered` or `failed`, which records the
    outcome.
    """

    def __init__(
        self,
        servers: Mapping[str, Sequence[Server]],
        alive: Callable[[Server], Awaitable[bool]],
        answers: Callable[[InFlightCall], Awaitable[bool]],
        queue: Queue,
        *,
        give_up_after_s: float,
        uniform: Callable[[float, float], float],
    ):
        self._servers, self._alive, self._answers, self._queue = servers, alive, answers, queue
        self._give_up_after_s, self._uniform = give_up_after_s, uniform
        self._tasks: set[asyncio.Task[None]] = set()
        self._absent_since: dict[str, float] = {}  # models that have no server at all now
        self._past_outages: dict[str, int] = dict.fromkeys(servers, 0)  # outages of retired servers

    def answered(self, call: InFlightCall, failures: int = 0, *, usual: bool = True) -> None:
        """Record that the server answered the call after `failures` failed attempts. `usual`: whether the call's
        duration counts as typical of the server. The duration does not count if the answer is a refusal or the call was
        a short question."""
        server, now = call.server, asyncio.get_running_loop().time()
        server.answered += 1
        server.answered_at = now
        if usual:
            server.longest_s = max(now - call.sent, 0.98 * server.longest_s)
            server.quickest_s = min(now - call.sent, 1.02 * server.quickest_s)
        server.limit.answered(server.in_flight)
        server.passing.recovered(failures)
        if server.failing_since is not None:
            server.forget_failures()

    def failed(self, call: InFlightCall, fault: Fault) -> None:
        """Record that the call failed at its server, and start a check if the server is suspect."""
        server, now = call.server, asyncio.get_running_loop().time()
        if (
            server.failing_since is None or call.sent - server.failed_at > self._give_up_after_s
        ):  # in the second case the server got no calls for a long time, which does not count as failing
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

    def overloaded(self, call: InFlightCall, why: str) -> None:
        """Lower the server's limit of calls in flight, because `call` shows that the server has too many calls at once.
        `why`: the reason, for the log."""
        server = call.server
        if server.limit.overloaded(call.sent, asyncio.get_running_loop().time()):
            log.info(
                "%s, model `%s`: at most %d calls in flight now (%s)", server.url, server.model, server.limit.value, why
            )

    def _hold_back(self, server: Server, fault: Fault, now: float) -> None:
        """Hold back calls from a server that answered 429. They wait for the time that the server asks for, or for an
        exponential backoff if this is longer."""
        if now >= server.not_before:  # the first refusal since the last wait; refusals during that wait do not count
            server.refusals += 1
        least = backoff(server.refusals, self._uniform)  # also if retry-after is 0 or in the past
        server.not_before = max(server.not_before, now + max(fault.retry_after or 0.0, least))
        self._queue.dispatch_timed(server.model)

    def give_up_at(self, model: str) -> float:
        """Return the time at which waiting calls to `model` are given up. This is `give_up_after_s` seconds after the
        moment when the last of the model's servers began to fail, or when the model lost its last server. Return inf
        while at least one server of the model is not failing."""
        if not self._servers[model]:
            return self._absent_since.get(model, 0.0) + self._give_up_after_s
        since = [server.failing_since for server in self._servers[model]]
        return (
            max((s for s in since if s is not None), default=0.0) + self._give_up_after_s
            if None not in since
            else float("inf")
        )

    def set_aside(self, server: Server, why: str) -> None:
        """Mark `server` unhealthy. It gets no calls until it answers a request for its list of models. `why`: the
        reason, for the log."""
        server.unhealthy = why
        server.outages += 1
        if server.failing_since is None:
            server.failing_since = asyncio.get_running_loop().time()
        log.warning(
            "%s, model `%s`, is unhealthy and is set aside until it answers a health request (%s)",
            server.url,
            server.model,
            why,
        )
        self._start(self._probe_until_back(server))
        self._queue.dispatch_timed(server.model)

    def retire(self, server: Server) -> None:
        """Mark `server` as gone for good. The caller has already removed it from `servers`."""
        server.retired, server.unhealthy = True, "its job ended"
        self._past_outages[server.model] += server.outages + 1
        if not self._servers[server.model]:
            self._absent_since[server.model] = asyncio.get_running_loop().time()
        self._queue.dispatch_timed(server.model)

    def outages(self, model: str) -> int:
        """Return how often servers of `model` became unhealthy or were retired."""
        return self._past_outages[model] + sum(server.outages for server in self._servers[model])

    async def _check(self, server: Server, chat: bool, why: str) -> None:
        """Check a suspect server: request its list of models and, if `chat`, ask it a short question. If it does not
        answer, mark it unhealthy. The short question does not wait for a free slot: it is sent even if the limit of
        calls in flight is reached. `why`: the last fault, for the log."""
        try:
            alive = await self._alive(server)
            if alive and chat:
                call = self._queue.take(server, "")
                try:
                    if await self._answers(call):
                        return
                finally:
                    self._queue.release(call)
            if server.suspect and server.unhealthy is None and (chat or not alive):
                more = (
                    f"{len(server.failing)} different requests failed in a row"
                    if alive
                    else "it does not list its models"
                )
                self.set_aside(server, f"{why}; {more}")
        finally:
            server.checking, server.checked_chat, server.checked_at = False, chat, asyncio.get_running_loop().time()

    async def _probe_until_back(self, server: Server) -> None:
        while True:
            await asyncio.sleep(server.probe_s * self._uniform(0.8, 1.2))
            # only an answered call resets the time, because a probe proves little
            server.probe_s = min(2 * server.probe_s, LAST_PROBE_S)
            if server.retired:
                return
            if await self._alive(server) and not server.retired:
                break
        server.unhealthy = None
        server.failing.clear()
        if not self._queue.waiting(server.model):
            server.failing_since = None
        server.limit.restart()
        log.warning("%s, model `%s`, is back", server.url, server.model)
        self._queue.dispatch()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop all checks and probes."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
