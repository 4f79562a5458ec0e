"""Asks a server a short question to find out whether a failed call is the server's fault or the request's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from gra.errors import ServerError
from gra.models.base import Reply, Request
from gra.models.openai.answer_judge import Forbidden
from gra.models.openai.http_client import Answer, Fault
from gra.models.openai.load_balancer import LoadBalancer
from gra.models.openai.server_state import InFlightCall, Server

_MOST = 8  # so many different questions must fail before a server counts as not answering, which can end the run


class ShortQuestions:
    """Asks servers short questions, which show whether a server answers.

    `post`: a function that sends a request. `judge`: a function that raises an exception if the answer is a fault.
    `tasks`: the backend's set of running tasks. Each running question is added to this set, so that the backend can
    cancel it.
    """

    def __init__(
        self,
        post: Callable[[InFlightCall, Request, bool], Awaitable[Answer]],
        judge: Callable[[InFlightCall, Request, Answer], Reply],
        balancer: LoadBalancer,
        tasks: set[asyncio.Task[Any]],
    ):
        self._post, self._judge, self._balancer, self._tasks = post, judge, balancer, tasks
        self._asked = 0
        self._running: dict[Server, asyncio.Task[bool]] = {}

    async def answers_others(self, call: InFlightCall, fault: Fault) -> bool:
        """Return whether the server of `call`, which failed with `fault`, answers other requests."""
        # after a timeout the call was overtaken, or its server fell silent; a question shows whether the request is the cause
        if fault.kind == "timeout":
            call.hangs = call.hangs or (call.server.answered > 0 and await self.answers(call))
            return call.hangs
        # even a malformed body shows that the server answers
        return call.others > 0 or (fault.kind == "body" and not call.server.suspect)

    async def answers(self, call: InFlightCall) -> bool:
        """Return whether the server of `call` answers a short question. The question is sent under the concurrency
        permit that `call` holds, so the number of requests in flight does not grow. A server gets one question at a
        time. If another caller already waits for the answer to a question to this server, both callers get the same
        result."""
        server = call.server
        running = self._running.get(server)
        if running is None:
            running = self._running[server] = asyncio.create_task(self._ask(call))
            running.add_done_callback(lambda _: self._running.pop(server, None))
            self._tasks.add(running)
            running.add_done_callback(self._tasks.discard)
        return await asyncio.shield(running)

    async def _ask(self, call: InFlightCall) -> bool:
        health = self._balancer.health
        for number in range(_MOST):  # a server that always fails on one request may answer another
            self._asked += 1
            words = ({"role": "user", "content": f"Say hello. ({self._asked})"},)
            hello = Request(call.server.model, words, 0.0, 1.0, 1, self._asked)
            attempt = self._balancer.again(call, hello.key)
            try:
                self._judge(attempt, hello, await self._post(attempt, hello, False))
            except Fault as fault:
                health.failed(attempt, fault)
                slow = fault.kind == "timeout" and number > 0
                if slow or fault.kind == "busy" or call.server.unhealthy is not None:
                    return False
            except (Forbidden, ServerError):
                return False
            else:
                health.answered(attempt, usual=False)
                return True
        return False
