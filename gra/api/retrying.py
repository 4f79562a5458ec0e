"""Retries failed calls of a caller's own backend, by the rules that also apply to calls of a server.

A call has failed if the backend raises `gra.errors.ServerError`. It is made again after a pause. Two keys of `runtime`
limit the retries:

- `retries`: if the model answers other calls in the meantime, the request is taken to be at fault. After more than
  `retries` failures, it is not made again. Its reply is then an error, and the sample lacks a verdict or is dropped.
- `give_up_after_s`: if the model answers no call at all, the model is taken to be at fault. After so many seconds, the
  run ends. If the model has never answered, the limit is `startup_wait_s` instead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gra.errors import ARROW, DRAINED, Interrupted, ServerError, parts_of
from gra.models.base import Reply, Request
from gra.models.openai.http_retry import backoff
from gra.models.pool import ModelRuntime

log = logging.getLogger(__name__)


class Retrying:
    """Wraps the method `chat` of an object that the user of the Python API made, and retries failed calls.

    `kind`: the name of the object's class, for messages.
    """

    def __init__(self, chat: Callable[[Request], Awaitable[Reply]], kind: str, runtime: ModelRuntime):
        self._chat, self._kind, self._runtime = chat, kind, runtime
        self._answers: dict[str, int] = {}  # model -> answered calls
        self._answered_at: dict[str, float] = {}  # model -> time of its last answer
        self._out: set[str] = set()  # models that have failed since their last answer
        self._draining = asyncio.Event()

    def drain(self) -> None:
        """Stop retrying. From now on, a call that would wait for its next attempt raises Interrupted.

        A call that already waits for its next attempt raises Interrupted, too. An attempt in progress continues.
        """
        self._draining.set()

    async def chat(self, request: Request) -> Reply:
        """Return the model's reply. A failed call is retried.

        If the model answers other calls but not this one, give up after more than `runtime.retries` failures, and
        return a reply with an error. If the model's last answer to any call was too long ago, raise ServerError.
        """
        model, loop = request.model, asyncio.get_running_loop()
        begun: float | None = None  # time of the first failure
        attempts = own = 0  # all failures; failures while the model answered other calls
        before = self._answers.get(model, 0)
        while True:
            try:
                reply = await self._chat(request)
            except ServerError as error:
                now, answers = loop.time(), self._answers.get(model, 0)
                attempts, begun, alive = attempts + 1, now if begun is None else begun, answers > before
                own, before = own + alive, answers
                if own > self._runtime.retries:
                    said = f"after {attempts} attempts: {parts_of(error)[0]}"
                    log.warning("model `%s` answers other calls, but not this one, %s", model, said)
                    return Reply("", finish="error", error=said)
                since = max(begun, self._answered_at.get(model, begun))
                if now - since >= self._patience(model):
                    raise self._given_up(error, model, now - since, attempts) from None
                self._report(error, model)
                await self._pause(backoff(1 if alive else attempts))
            else:
                self._answers[model], self._answered_at[model] = self._answers.get(model, 0) + 1, loop.time()
                if model in self._out:
                    self._out.discard(model)
                    log.warning("model `%s` of %s answers again", model, self._kind)
                return reply

    def _patience(self, model: str) -> float:
        """Return the seconds without an answer of `model` after which the run ends."""
        return self._runtime.give_up_after_s if model in self._answers else self._runtime.startup_wait_s

    def _report(self, error: ServerError, model: str) -> None:
        """Report the first failure since the model's last answer."""
        if model not in self._out:
            self._out.add(model)
            what = parts_of(error)[0]
            log.warning(
                "model `%s` of %s failed: %s; retried for up to %g s", model, self._kind, what, self._patience(model)
            )

    def _given_up(self, error: ServerError, model: str, seconds: float, attempts: int) -> ServerError:
        what, remedy = parts_of(error)
        key = "give_up_after_s" if model in self._answers else "startup_wait_s"
        told = (
            f"{self._kind}, model `{model}`: {what} (no answer for {seconds:.0f} s, {attempts} attempts at this call)"
        )
        usual = f"when the backend answers again, make the same call: it resumes. To wait longer, raise runtime.{key}"
        return ServerError(f"{told}{ARROW}{remedy or usual}")

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._draining.wait(), seconds)
        except TimeoutError:
            return
        raise Interrupted(DRAINED)
