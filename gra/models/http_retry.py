"""Servers that fail for a while: the wait before the next attempt of a call, and which server gets it.

A fault that may pass (`Fault`) never leaves the backend as it is: the call is tried again, at another server where there
is one. A server that fails several times in a row is set aside and asked for its model list until it answers again.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import logging
import random
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from gra.errors import DRAINED, Interrupted
from gra.models.http_client import Fault

log = logging.getLogger(__name__)

SET_ASIDE_AFTER = 3  # failures in a row
FIRST_PROBE_S, LAST_PROBE_S = 1.0, 15.0  # seconds between probes of a server set aside: doubled each time
FIRST_BACKOFF_S, LAST_BACKOFF_S = 0.25, 30.0

_jitter = random.Random()  # of its own: no one else's seeded draws are disturbed
class Server:
    """One base URL and how it does."""

    def __init__(self, url: str, limit: int | None = None):
        self.url = url
        self.slots = asyncio.Semaphore(limit or sys.maxsize)  # calls that it may have at once
        self.chat_url = f"{url}/chat/completions"
        self.in_flight = 0
        self.failures = 0  # in a row
        self.aside = False
        self.probe_s = FIRST_PROBE_S
        self.not_before = 0.0  # monotonic; set where it asks for patience (429, Retry-After)
        self.refusals = 0  # waits of that kind without an answer in between
        self.answered_at = 0.0  # monotonic


class Fleet:
    """Chooses servers, least in flight first, and keeps account of their health. `alive(server)` probes one."""

    def __init__(self, alive: Callable[[Server], Awaitable[bool]]):
        self._alive = alive
        self._change = asyncio.Event()  # replaced at each change of health
        self._watchers: set[asyncio.Task[None]] = set()
        self._draining = asyncio.Event()

    def drain(self) -> None:
        """Calls that wait, for a server or for their next attempt, end with Interrupted: they are in flight nowhere."""
        self._draining.set()
        self._change.set()

    async def pause(self, seconds: float) -> None:
        """Wait before the next attempt. Raises Interrupted where that is not to come any more."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._draining.wait(), seconds)
        self._go_on()

    def _go_on(self) -> None:
        if self._draining.is_set():
            raise Interrupted(DRAINED)

    async def pick(self, servers: Sequence[Server], avoid: Server | None, deadline: float) -> Server:
        """The server for the next attempt, waiting until `deadline` (monotonic) for one to come back. Raises Fault."""
        while True:
            self._go_on()
            now = time.monotonic()
            free = [s for s in servers if not s.aside and s.not_before <= now]
            if free:
                return free[0] if len(free) == 1 else min(free, key=lambda s: (s is avoid, s.in_flight))
            soonest = min((s.not_before for s in servers if not s.aside), default=deadline)
            if soonest > deadline and not any(s.aside for s in servers):
                raise Fault("busy", f"asked to wait {soonest - now:.0f} s, longer than runtime.give_up_after_s allows")
            wait = min(soonest, deadline) - now
            if wait <= 0:
                raise Fault("connection", "no server came back in time")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._change.wait(), wait)

    def well(self, server: Server) -> None:
        """`server` answered a call."""
        server.failures, server.probe_s, server.refusals, server.answered_at = 0, FIRST_PROBE_S, 0, time.monotonic()

    def failed(self, server: Server, fault: Fault) -> None:
        """An attempt at `server` failed."""
        now = time.monotonic()
        if fault.kind == "busy" or fault.retry_after is not None:
            if now >= server.not_before:  # the first to be told since the last wait: the others of its time say nothing new
                server.refusals += 1
            least = backoff(server.refusals) if fault.kind == "busy" else 0.0  # also where it says 0, or a time that is past
            server.not_before = max(server.not_before, now + max(fault.retry_after or 0.0, least))
        if fault.kind == "busy":  # it is well
            return
        server.failures += 1
        if server.failures >= SET_ASIDE_AFTER and not server.aside:
            self.set_aside(server, str(fault))

    def set_aside(self, server: Server, why: str) -> None:
        """No calls for `server` until a probe is answered."""
        server.aside = True
        log.warning("%s is set aside (%s); probing until it answers", server.url, why)
        task = asyncio.get_running_loop().create_task(self._watch(server))
        self._watchers.add(task)
        task.add_done_callback(self._watchers.discard)

    async def _watch(self, server: Server) -> None:
        while True:
            await asyncio.sleep(server.probe_s * _jitter.uniform(0.8, 1.2))
            server.probe_s = min(2 * server.probe_s, LAST_PROBE_S)  # until a call succeeds: a probe proves little
            if await self._alive(server):
                break
        server.aside, server.failures = False, 0
        log.warning("%s is back", server.url)
        self._change.set()
        self._change = asyncio.Event()

    async def close(self) -> None:
        """Stop probing."""
        watchers = list(self._watchers)
        for task in watchers:
            task.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)


def backoff(attempt: int) -> float:
    """Seconds to wait before attempt number `attempt` (1 = the first repetition): doubled each time, half of it jitter."""
    longest = min(FIRST_BACKOFF_S * 2 ** min(attempt - 1, 20), LAST_BACKOFF_S)
    return _jitter.uniform(longest / 2, longest)


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that a retry-after header asks for (a number or an HTTP date, RFC 9110 10.2.3), or None. `now`: Unix time."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - (time.time() if now is None else now)
        except ValueError:
            return None
    return max(seconds, 0.0) if seconds == seconds else None  # NaN is no time
