"""Whether a server takes `response_format` with a schema: found out at the first refusal, and then known for the run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from gra.models.base import Reply, Request
from gra.models.http_client import Answer
from gra.models.load_balancer import Call

log = logging.getLogger(__name__)

_MAY_MEAN_SCHEMA = (400, 422, 500, 501)  # answers of servers that cannot do response_format (llama-cpp-python: 500)
_QUESTIONS = ("Reply with a short example.", "Fill in the form with any values.")


class SchemaSupport:
    """`post(call, request, structured)` asks a server; `judge` raises where an answer is a fault or the server of no use."""

    def __init__(
        self, post: Callable[[Call, Request, bool], Awaitable[Answer]], judge: Callable[[Call, Request, Answer], Reply]
    ):
        self._post, self._judge = post, judge
        self._takes: dict[tuple[str, str, str], bool] = {}  # (URL, model, schema's name): as seen there
        self._settling: dict[tuple[str, str, str], asyncio.Lock] = {}

    async def ask(self, call: Call, request: Request) -> Answer:
        """Ask with the schema, or in plain text where the server refuses schemas. Raises Fault, ServerError."""
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

    async def _without_schema(self, call: Call, request: Request, form: tuple[str, str, str]) -> Answer | None:
        """The answer in plain text if the server cannot do `response_format` with this schema; None if it can.

        A refusal alone proves nothing (the context may be too long), nor does its being gone without the schema (the
        request is another one then). So the schema is tried on two short questions of ours: what is found depends on the
        server alone, not on which request came first.
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
            if takes is None:  # asked once more: a server that just came up refused all before, and nothing from now on
                takes = self._takes[form] = not await self._refuses(call, request, _QUESTIONS[1])
                if takes:
                    return await self._post(call, request, True)
                log.warning("%s refuses the schema `%s` for %s: asked in plain text from now on", form[0], form[2], form[1])
            return answer

    async def _refuses(self, call: Call, request: Request, question: str) -> bool:
        """Whether the server refuses the schema of `request` with a short question. Raises Fault, ServerError."""
        short = replace(request, messages=({"role": "user", "content": question},), temperature=0.0, max_tokens=16)
        answer = await self._post(call, short, True)
        if answer.status not in (200, *_MAY_MEAN_SCHEMA):
            self._judge(call, request, answer)  # raises
        return answer.status != 200
