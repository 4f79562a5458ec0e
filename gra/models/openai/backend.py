"""Calls models behind any /v1/chat/completions (vLLM, SGLang, llama.cpp, Ollama, TGI), as conf/pool/servers.yaml sets.

The environment variable that `pool.api_key_env` names has the API key, which no config, message, log or repr contains.

Handling of failed calls:
- The server refuses the request permanently (HTTP 400), or the request fails repeatedly while the server answers others
  (passing_faults.py): the request is at fault. The call returns a `Reply` with `error`, and the run continues without
  that verdict or proposal.
- Different requests fail: the server is at fault. Calls wait until it is back (server_health.py). ServerError is raised
  if the server answers nothing for `give_up_after_s`, or if a call has used up its `retries`.
- HTTP 429: the server is healthy but busy. It gets fewer calls, after a wait. This does not count as a failed attempt.
- HTTP 401, 402, 404: the model cannot be used. ServerError is raised at once, with server and model: a committee that
  silently loses a member would be a different method from the configured one.
- HTTP 403: if the server answers a short question, the request is at fault (a moderation filter); else the model cannot
  be used.

The same errors in a body with status 200 are handled in the same way (answer_judge.py).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr

from gra.errors import ConfigError, Problem, ServerError
from gra.models.base import Backend, Capabilities, Reply, Request
from gra.models.found import FoundServers
from gra.models.managed import StartedServers
from gra.models.openai.answer_judge import AnswerJudge, Forbidden
from gra.models.openai.choices import TOP
from gra.models.openai.http_client import Answer, Fault, Limits, Session
from gra.models.openai.http_retry import LAST_BACKOFF_S, backoff
from gra.models.openai.load_balancer import LoadBalancer
from gra.models.openai.logprob_support import LogprobSupport
from gra.models.openai.overdue import overtaken, queued, verdict
from gra.models.openai.passing_faults import PassingFaults
from gra.models.openai.request_faults import RequestFaults, specific
from gra.models.openai.schema_support import SchemaSupport
from gra.models.openai.server_probe import Probe, Transport
from gra.models.openai.server_state import InFlightCall, Server
from gra.models.openai.settings import PoolSettings
from gra.models.openai.short_questions import ShortQuestions
from gra.models.openai.wire import body_of
from gra.models.pool import ModelRuntime, parsed

__all__ = ["OpenAIServer", "PoolSettings", "connect"]
_BUSY_AT_FAULT = 12  # after so many 429s, a request is at fault if the server answers a short question


def connect(pool: dict[str, Any], runtime: dict[str, Any]) -> OpenAIServer | StartedServers | FoundServers:
    """Return the backend for a pool of OpenAI-compatible servers. `pool._target_` names this function. If
    `pool.addresses` is set, the backend finds the servers of other jobs. Else, if `pool.serve` is set, the backend
    starts its own servers. Raises ConfigError."""
    settings, speed = parsed(PoolSettings, pool, runtime)
    if settings.addresses is not None:
        return FoundServers(settings, speed, client)
    if settings.serve is not None:
        _key_of(settings)  # check the key before servers are started
        return StartedServers(settings, speed, settings.models, client)
    return client(settings, speed)


def client(settings: PoolSettings, runtime: ModelRuntime) -> OpenAIServer:
    """Return a backend that calls running servers. Raises ConfigError if the API key cannot be sent in an HTTP
    header."""
    return OpenAIServer(settings, runtime, _key_of(settings))


def _key_of(settings: PoolSettings) -> SecretStr:
    key = os.environ.get(settings.api_key_env, "").strip()
    if not (key.isascii() and key.isprintable()):
        what = f"the environment variable {settings.api_key_env} has characters that an HTTP header cannot contain"
        raise ConfigError([Problem("pool.api_key_env", what, "set it to the key only")])
    return SecretStr(key)


class OpenAIServer(Backend):
    """A backend that calls running OpenAI-compatible servers.

    `transport(headers)` returns the HTTP session. `uniform` draws the random part of waiting times. Tests replace both,
    and the event loop's clock, to run without a network and without waiting.
    """

    def __init__(
        self,
        settings: PoolSettings,
        runtime: ModelRuntime,
        key: SecretStr,
        *,
        transport: Callable[[Mapping[str, str]], Transport] = Session,
        uniform: Callable[[float, float], float] | None = None,
    ):
        self._settings, self._runtime, self._key = settings, runtime, key
        self.models = tuple(model.name for model in settings.models)
        self._specs = {model.name: model for model in settings.models}
        passing = {url: PassingFaults() for model in settings.models for url in settings.urls_of(model)}
        self._servers = {
            model.name: [Server(url, model.name, runtime.per_server, passing[url]) for url in settings.urls_of(model)]
            for model in settings.models
        }
        self.simulated = settings.simulated
        self._probe = Probe(settings, runtime, key.get_secret_value())
        self._balancer = LoadBalancer(
            self._servers,
            self._probe.alive,
            lambda call: self._questions.answers(call),
            give_up_after_s=runtime.give_up_after_s,
            per_server=runtime.per_server,
            per_model=runtime.per_model,
            uniform=uniform,
        )
        self._health = self._balancer.health
        answers = AnswerJudge(self._probe)
        self._judge = answers.judge
        self._schemas = SchemaSupport(self._post, self._judge)
        self._logprobs = LogprobSupport(self._post, self._judge, answers.cannot)
        self._request_faults = RequestFaults()
        self._transport = transport
        self._calls: set[asyncio.Task[Any]] = set()
        self._questions = ShortQuestions(self._post, self._judge, self._balancer, self._calls)
        self._stack = AsyncExitStack()
        self._limit_s = lru_cache(lambda max_tokens: runtime.timeout_s + runtime.timeout_per_token_s * max_tokens)
        self._limits = Limits(float("inf"), runtime.connect_timeout_s)
        self._queued: dict[str, float] | None = None

    async def __aenter__(self) -> Self:
        """Open the session and wait until every model has a server that answers. Raises ServerError."""
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
        self._session = self._probe.transport = self._transport(headers)
        self._stack.push_async_callback(self._session.close)
        self._stack.push_async_callback(self._balancer.close)
        if self._settings.addresses is not None:  # its servers are taken up one by one
            return self
        try:
            for server, why in (await self._probe.await_servers(self._servers)).items():
                self._health.set_aside(server, why)
        except BaseException:
            await self._stack.aclose()
            raise
        self.simulated = self._probe.simulated
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        calls = [task for task in self._calls if task is not asyncio.current_task()]
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await self._stack.aclose()

    async def take_up(self, model: str, url: str) -> str | None:
        """Add the server of `model` at `url` to the servers that are called, if it answers and lists the model. Return
        None if it was added, else the reason why not."""
        server = Server(url, model, self._runtime.per_server)
        if (why := await self._probe.refusal(server)) is not None:
            return why
        self.simulated = self._probe.simulated
        self._balancer.add(server)
        return None

    def retire(self, model: str, url: str) -> None:
        """Call the server of `model` at `url` no more."""
        for server in [server for server in self._servers[model] if server.url == url]:
            self._balancer.retire(server)

    # --- for the engine and the terminal --------------------------------------------------------------------------------------

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            limit_calls=self.limit_calls,
            queued=self.queued,
            drain=self.drain,
            servers=self.servers,
            servers_out=self.servers_out,
            in_flight=self.in_flight,
            account=self.account,
        )

    def limit_calls(self, concurrency: int) -> None:
        """Limit the calls in flight over all models. The backend enforces the limit, not its caller. So a call that
        waits for a retry or a server does not count."""
        self._balancer.concurrency = concurrency
        self._queued = {}

    def queued(self, request: Request) -> float:
        """Return the seconds that an answered call waited in this backend before it was sent to a server. If this
        method is called a second time for `request`, it returns 0."""
        return self._queued.pop(request.key, 0.0) if self._queued else 0.0

    def servers_out(self) -> list[str]:
        """Return the base URLs of the unhealthy servers, which get no calls now."""
        return sorted({server.url for server in self._balancer.servers if server.unhealthy is not None})

    def servers(self) -> list[dict[str, Any]]:
        """Return the state of each model at each URL: its calls in flight, their limit, and why the server is
        unhealthy. The reason is null if the server is healthy."""
        return [server.state() for server in self._balancer.servers]

    def in_flight(self) -> dict[str, int]:
        """Return the number of calls in flight now, by model."""
        return dict(self._balancer.in_flight)

    def account(self) -> dict[str, Any]:
        """Return two facts for run.json. `servers` is the servers' state. `requests_at_fault` is the number of requests
        that caused their own failure, by model and reason."""
        return {"servers": self.servers(), "requests_at_fault": self._request_faults.account()}

    def drain(self) -> None:
        """Make the calls that wait for a server or a retry raise Interrupted. Calls in flight continue."""
        self._balancer.drain()

    # --- calls ----------------------------------------------------------------------------------------------------------------

    async def chat(self, request: Request) -> Reply:
        """Return the model's reply. Raises ServerError when the retries are used up, or at once if no retry can
        help."""
        task = asyncio.current_task()
        if task is not None:
            self._calls.add(task)
        try:
            return await self._chat(request)
        finally:
            if task is not None:
                self._calls.discard(task)

    async def _chat(self, request: Request) -> Reply:
        balancer, health, loop = self._balancer, self._health, asyncio.get_running_loop()
        begun, working, ticket = loop.time(), 0.0, balancer.ticket()
        server: Server | None = None
        attempts = refusals = outages = 0  # failed attempts; 429s; outages of the model's servers until the last fault
        # row: failed attempts since the last outage. own: those during which the server answered others.
        # hung: those that hung.
        row = own = hung = 0
        worst, rank = None, (False, 0)  # the fault that says most about the request itself
        while True:
            try:
                call = await balancer.acquire(request.model, request.key, ticket, server)
            except Fault as fault:
                where = [server] if server is not None else self._servers[request.model]
                url = where[0].url if where else str(self._settings.addresses)
                raise self._probe.unusable(url, request.model, str(fault)) from None
            server, sent = call.server, call.sent
            try:
                reply = await self._attempt(call, request)
                health.answered(call, attempts, usual=reply.error is None)
                if self._queued is not None:
                    self._queued[request.key] = loop.time() - begun - working - (loop.time() - sent)
                return reply
            except Fault as fault:
                others = await self._questions.answers_others(call, fault)
                health.failed(call, fault)
                if worst is None or specific(fault, others) >= rank:
                    worst, rank = fault, specific(fault, others)
                late = loop.time() >= health.give_up_at(request.model)
                if fault.kind == "busy":
                    refusals += 1
                    tried = f"after {refusals} attempts: {fault}"
                    if (late or refusals >= _BUSY_AT_FAULT) and server.answered and await self._questions.answers(call):
                        return self._request_faults.reply(request, server, worst, tried)
                    if late:
                        raise self._unusable(server, request, tried) from None
                    continue  # `acquire` waits as long as the server asks
                now_out = health.outages(request.model)
                if now_out > outages:  # the earlier failures may have been part of the outage
                    row = own = hung = 0
                attempts, row, own, hung, outages = attempts + 1, row + 1, own + others, hung + call.hangs, now_out
                tried = f"after {attempts} attempts: {fault}"
                spent = attempts > self._runtime.retries
                enough = spent or hung >= 2 or row >= server.passing.attempts
                if enough or late:
                    alive = own == row or (server.unhealthy is None and await self._questions.answers(call))
                    if alive and enough:
                        return self._request_faults.reply(request, server, worst, tried)
                    if not alive and (late or spent):
                        raise self._unusable(server, request, tried) from None
                if own == row:  # the server is healthy: a longer wait would not help
                    wait = backoff(1, balancer.uniform)
                else:
                    wait = max(backoff(attempts, balancer.uniform), min(fault.retry_after or 0.0, LAST_BACKOFF_S))
            finally:
                working += loop.time() - sent
                balancer.release(call)
            await balancer.pause(wait)

    async def _attempt(self, call: InFlightCall, request: Request) -> Reply:
        """Send the request once, with the schema if the server accepts it. Raises Fault, ServerError."""
        structured = self._settings.structured
        if request.choices:
            answer = await self._logprobs.ask(call, request)
        elif request.schema is None or structured == "off":
            answer = await self._post(call, request, False)
        elif structured == "auto":
            answer = await self._schemas.ask(call, request)
        else:
            answer = await self._post(call, request, True)
        try:
            return self._judge(call, request, answer)
        except Forbidden as forbidden:  # a moderation filter in front of a model also answers 403, for single requests
            if await self._questions.answers(call):
                return Reply("", finish="error", error=str(forbidden))
            raise self._probe.unusable(call.server.url, request.model, str(forbidden), forbidden.status) from None

    async def _post(self, call: InFlightCall, request: Request, structured: bool, top: int = TOP[0]) -> Answer:
        settings, loop, limit_s = self._settings, asyncio.get_running_loop(), self._limit_s(request.max_tokens)
        body = body_of(
            request,
            self._specs[request.model],
            structured=structured,
            send_seed=settings.send_seed,
            extra=settings.extra_body,
            top=top,
        )
        sent, server, timer, why = loop.time(), call.server, None, ""

        def overdue() -> None:
            nonlocal timer, why
            now = loop.time()
            call.hangs = overtaken(call.others, call.ahead, server.in_flight)
            if queued(call.others, call.ahead, limit_s, server.quickest_s):
                self._health.overloaded(call, f"no reply within {now - sent:.0f} s")
            silent, site = (now - max(sent, at) for at in (server.answered_at, server.site_answered_at))
            found = verdict(now - sent, silent, limit_s, server.longest_s, call.hangs, site)
            if isinstance(found, str):
                why = found
                scope.reschedule(now)
            else:
                timer = loop.call_later(found, overdue)

        timer = loop.call_later(limit_s, overdue)
        try:
            async with asyncio.timeout(None) as scope:
                return await self._session.exchange("POST", server.chat_url, body, self._limits)
        except TimeoutError:
            raise Fault("timeout", why) from None
        finally:
            timer.cancel()

    def _unusable(self, server: Server, request: Request, tried: str) -> ServerError:
        return self._probe.unusable(server.url, request.model, tried)
