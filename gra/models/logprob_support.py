"""How many of a first token's probabilities a server gives: found out at the first refusal, and then known for the run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from gra.errors import ServerError
from gra.models.base import Reply, Request
from gra.models.choices import TOP
from gra.models.http_client import Answer
from gra.models.load_balancer import Call

NO_LOGPROBS = "the server gives no probabilities of tokens (logprobs), which synthesis.scoring=probability needs"
REMEDY = (
    "serve the model with llama.cpp, vLLM or SGLang, which give them (a proxy in front must pass on `logprobs` and `top_logprobs`)"
    ", or set synthesis.scoring=text"
)
_REFUSED = (400, 422, 500, 501)  # answers of servers that do not know `logprobs`, or refuse so many
_QUESTION = "Is snow white? Answer Yes or No."


class LogprobSupport:
    """`post(call, request, structured, top)` asks a server; `unusable(url, model, what, remedy)` makes the error."""

    def __init__(
        self,
        post: Callable[[Call, Request, bool, int], Awaitable[Answer]],
        judge: Callable[[Call, Request, Answer], Reply],
        unusable: Callable[[str, str, str, str], ServerError],
    ):
        self._post, self._judge, self._unusable = post, judge, unusable
        self._takes: dict[tuple[str, str], int] = {}  # (URL, model): how many tokens it lists
        self._settling: dict[tuple[str, str], asyncio.Lock] = {}

    async def ask(self, call: Call, request: Request) -> Answer:
        """Ask for as many probabilities as the server gives. Raises Fault, ServerError."""
        at = (call.server.url, request.model)
        top = self._takes.get(at, TOP[0])
        answer = await self._post(call, request, False, top)
        if answer.status == 200:
            self._takes.setdefault(at, top)
        elif answer.status in _REFUSED and at not in self._takes:
            return await self._with_fewer(call, request, answer)
        return answer

    async def _with_fewer(self, call: Call, request: Request, refusal: Answer) -> Answer:
        """As SchemaSupport does it: a refusal alone proves nothing, so a short question of ours is asked, with ever fewer tokens,
        at last with none. What is found depends on the server alone, not on which request came first."""
        at = (call.server.url, request.model)
        async with self._settling.setdefault(at, asyncio.Lock()):
            if at not in self._takes:
                short = replace(request, messages=({"role": "user", "content": _QUESTION},))
                for top in TOP:
                    if await self._taken(call, short, top):
                        self._takes[at] = top
                        break
                else:
                    if await self._taken(call, replace(short, choices=(), max_tokens=1), 0):
                        raise self._unusable(*at, f"{NO_LOGPROBS}: HTTP {refusal.status} with them, an answer without", REMEDY)
                    return refusal
            top = self._takes[at]
        return refusal if top == TOP[0] else await self._post(call, request, False, top)

    async def _taken(self, call: Call, short: Request, top: int) -> bool:
        answer = await self._post(call, short, False, top)
        if answer.status not in (200, *_REFUSED):
            self._judge(call, short, answer)  # raises
        return answer.status == 200
