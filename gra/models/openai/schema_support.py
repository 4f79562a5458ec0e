"""Finds out whether a server accepts `response_format` with a JSON schema, and remembers the result for the run. A
server is tested only when it first refuses a request with a schema."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from gra.models.base import Reply, Request
from gra.models.openai.http_client import Answer
from gra.models.openai.server_state import InFlightCall

log = logging.getLogger(__name__)

_MAY_MEAN_SCHEMA = (400, 422, 500, 501)  # statuses from servers without response_format (llama-cpp-python: 500)
_QUESTIONS = ("Reply with a short example.", "Fill in the form with any values.")


class SchemaSupport:
    """Sends requests with their JSON schema to servers that accept it, and without it to other servers.

    `post(call, request, structured)`: a function that sends a request, with its schema if `structured` is true.
    `judge`: a function that raises an exception if an answer is a fault or the server is unusable.
    """

    def __init__(
        self,
        post: Callable[[InFlightCall, Request, bool], Awaitable[Answer]],
        judge: Callable[[InFlightCall, Request, Answer], Reply],
    ):
        self._post, self._judge = post, judge
        self._takes: dict[tuple[str, str, str], bool] = {}  # (URL, model, schema's name) -> accepted
        self._settling: dict[tuple[str, str, str], asyncio.Lock] = {}

    async def ask(self, call: InFlightCall, request: Request) -> Answer:
        """Send the request and return the server's answer. The request has its schema unless the server refuses
        schemas. Raises Fault and ServerError."""
        form = (call.server.url, request.model, request.schema_name or "")
        takes = self._takes.get(form)
        answer = await self._post(call, request, takes is not False)
        if takes is not None:
            return answer
        if answer.status == 200:
            self._takes[form] = True
        elif answer.status in _MAY_MEAN_SCHEMA:
            return await self._without_schema(call, request, form) or answer
        return answer

    async def _without_schema(self, call: InFlightCall, request: Request, form: tuple[str, str, str]) -> Answer | None:
        """Find out whether the server accepts the schema after it refused a request with it. Return the answer to the
        request that was then sent again. Return None if it was not sent again or failed; the caller then uses the
        refusal as the answer. `form`: (URL, model, the schema's name).

        The refusal of one request proves nothing: the request may be too long. If the same request succeeds without the
        schema, this proves nothing either, because it is then a different request. So the schema is tried with two
        short questions, and the result depends only on the server, not on which request came first. If the server
        accepts the schema with the first question, the refusal stands. If it refuses the schema with both, the request
        is sent without it. If it accepts the schema only with the second (it was still starting before), the request is
        sent again with it.
        """
        async with self._settling.setdefault(form, asyncio.Lock()):
            takes = self._takes.get(form)
            if takes is None and not await self._refuses(call, request, _QUESTIONS[0]):
                takes = self._takes[form] = True
            if takes:
                return None
            answer = await self._post(call, request, False)
            if answer.status != 200:
                return None
            if takes is None:  # ask again: a server that was still starting refused everything before
                takes = self._takes[form] = not await self._refuses(call, request, _QUESTIONS[1])
                if takes:
                    return await self._post(call, request, True)
                log.warning(
                    "%s refuses the schema `%s` for %s: requests are sent without it now", form[0], form[2], form[1]
                )
            return answer

    async def _refuses(self, call: InFlightCall, request: Request, question: str) -> bool:
        """Return whether the server refuses a short question with the schema of `request`. Raises Fault, ServerError."""
        short = replace(request, messages=({"role": "user", "content": question},), temperature=0.0, max_tokens=16)
        answer = await self._post(call, short, True)
        if answer.status not in (200, *_MAY_MEAN_SCHEMA):
            self._judge(call, request, answer)  # raises
        return answer.status != 200
