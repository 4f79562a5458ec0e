"""Finds out how many first-token probabilities a server returns (`top_logprobs`), and remembers the number for the run.
A server is tested only when it first refuses a request for probabilities."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from gra.errors import ServerError
from gra.models.base import Reply, Request
from gra.models.openai.choices import TOP
from gra.models.openai.http_client import Answer
from gra.models.openai.server_state import InFlightCall

NO_LOGPROBS = "the server returns no token probabilities (logprobs), which synthesis.scoring=probability needs"
REMEDY = (
    "serve the model with llama.cpp, vLLM or SGLang, which return them (a proxy must pass on `logprobs` and `top_logprobs`)"
    ", or set synthesis.scoring=text"
)
# statuses from servers that do not support `logprobs`, or that support fewer tokens than were requested
_REFUSED = (400, 422, 500, 501)
_QUESTION = "Is snow white? Answer Yes or No."


class LogprobSupport:
    """Asks servers for the most likely first tokens of a reply and their probabilities.

    `post(call, request, structured, top)`: a function that sends a request for the probabilities of the `top` likeliest
    first tokens. `judge`: a function that raises an exception if the answer reports a fault. `unusable(url, model,
    what, remedy)`: a function that returns the error for a server that returns no probabilities.
    """

    def __init__(
        self,
        post: Callable[[InFlightCall, Request, bool, int], Awaitable[Answer]],
        judge: Callable[[InFlightCall, Request, Answer], Reply],
        unusable: Callable[[str, str, str, str], ServerError],
    ):
        self._post, self._judge, self._unusable = post, judge, unusable
        self._takes: dict[tuple[str, str], int] = {}  # (URL, model) -> number of tokens that the server lists
        self._settling: dict[tuple[str, str], asyncio.Lock] = {}

    async def ask(self, call: InFlightCall, request: Request) -> Answer:
        """Send the request and return the server's answer. Ask for the largest number of probabilities that the server
        accepts. Raises Fault and ServerError."""
        at = (call.server.url, request.model)
        top = self._takes.get(at, TOP[0])
        answer = await self._post(call, request, False, top)
        if answer.status == 200:
            self._takes.setdefault(at, top)
        elif answer.status in _REFUSED and at not in self._takes:
            return await self._with_fewer(call, request, answer)
        return answer

    async def _with_fewer(self, call: InFlightCall, request: Request, refusal: Answer) -> Answer:
        """Find out how many tokens' probabilities can be requested from the server, send the request with that number,
        and return the answer.

        The refusal of one request proves nothing, because the request itself may be at fault. So a short question is
        sent for fewer and fewer tokens, and at last without probabilities. The result depends only on the server, not
        on which request came first.

        Return `refusal`, the answer to the request so far, in two cases: the server accepts the short question for the
        full number, or it refuses this question even without probabilities. Raises ServerError if the server accepts
        the short question only without probabilities.
        """
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
                        raise self._unusable(
                            *at, f"{NO_LOGPROBS}: HTTP {refusal.status} with, an answer without them", REMEDY
                        )
                    return refusal
            top = self._takes[at]
        return refusal if top == TOP[0] else await self._post(call, request, False, top)

    async def _taken(self, call: InFlightCall, short: Request, top: int) -> bool:
        answer = await self._post(call, short, False, top)
        if answer.status not in (200, *_REFUSED):
            self._judge(call, short, answer)  # raises
        return answer.status == 200
