"""Models behind any /v1/chat/completions (vLLM, SGLang, llama.cpp, Ollama, TGI): conf/pool/servers.yaml, conf/pool/ollama.yaml.

The API key comes from the environment variable that `pool.api_key_env` names; it is in no config, message, log or repr.

What becomes of a call that fails:
- Its server refuses it for good (HTTP 400), or it fails again and again while the server answers others (passing_faults.py): the
  request is at fault, and its reply is a `Reply` with `error`. The run goes on without a verdict or a proposal.
- Different requests fail: the server is at fault. It gets no calls until it is back (load_balancer.py), and the calls wait; once
  it has answered nothing for `give_up_after_s`, or a call was tried `retries` times in vain, it is a ServerError.
- HTTP 429: the server is well and busy. It gets fewer calls, later; no attempt is counted.
- HTTP 401, 402, 404: this model cannot be asked at all. A ServerError at once, which names server and model: a committee that
  lost a member without a word would be another method than the one that the run is to follow.
The same errors in a body with status 200 mean the same.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr

from gra.errors import ConfigError, Problem, ServerError
from gra.models.base import Reply, Request
from gra.models.chat_wire import ErrorBody, Malformed, NoLogprobs, body_of, reply_from, said
from gra.models.choices import TOP
from gra.models.error_body import money_spent
from gra.models.http_client import Answer, Fault, Limits, Session
from gra.models.http_retry import LAST_BACKOFF_S, backoff, retry_after
from gra.models.load_balancer import Call, LoadBalancer, Server
from gra.models.logprob_support import NO_LOGPROBS, REMEDY, LogprobSupport
from gra.models.overdue import overtaken, queued, verdict
from gra.models.passing_faults import PassingFaults
from gra.models.pool import ModelRuntime
from gra.models.schema_support import SchemaSupport
from gra.models.served import Served
from gra.models.server_pool import PoolSettings
from gra.models.server_probe import Probe, Transport
from gra.settings import parse

__all__ = ["OpenAIServer", "PoolSettings", "connect"]
log = logging.getLogger(__name__)

_REFUSED = (400, 413, 422)  # this request, for good
_PASSING = (408, 409, 425, 429)  # and all 5xx
_PERMANENT = (401, 402, 403, 404)  # this model at this server, for good
_BUSY_AT_FAULT = 12  # 429 so often to one request, while a short one is answered: it is this request that is not taken
_QUESTIONS = 8  # of ours, all different, that must fail before a server is said to answer nobody: it may end the run
_TELLING = {"busy": 0, "connection": 1, "timeout": 2, "status": 3, "body": 4}  # which fault of several says most of a request
_LASTING = {"connection": "the connection broke", "timeout": "no reply in time"}
_TOLD = 3  # requests at fault that are named on the terminal, for each model


def connect(pool: dict[str, Any], runtime: dict[str, Any]) -> OpenAIServer | Served:
    """The backend for `pool` (`pool._target_` names this function); with `pool.serve`, one that starts its servers itself.
    Raises ConfigError."""
    settings, problems = parse(PoolSettings, pool, "pool")
    speed, more = parse(ModelRuntime, runtime, "runtime")
    problems += more + (settings.problems() if settings else [])
    if settings is None or speed is None or problems:
        raise ConfigError(problems)
    key = os.environ.get(settings.api_key_env, "").strip()
    if not (key.isascii() and key.isprintable()):
        what = f"the environment variable {settings.api_key_env} holds characters that no header can carry"
        raise ConfigError([Problem("pool.api_key_env", what, "set it to the key alone")])
    if settings.serve is not None:
        return Served(settings, runtime, settings.models)
    return OpenAIServer(settings, speed, SecretStr(key))


class OpenAIServer:
    """A `gra.models.base.Backend` over one HTTP session. `transport` makes what carries the requests, given their headers, and
    `uniform` draws the jitter: with other ones, and the event loop's clock, it can be driven without a network or a wait."""

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
            self._servers, self._probe.alive, self._answers, give_up_after_s=runtime.give_up_after_s,
            per_server=runtime.per_server, per_model=runtime.per_model, uniform=uniform,
        )  # fmt: skip
        self.per_model = runtime.per_model
        self._schemas = SchemaSupport(self._post, self._judge)
        self._logprobs = LogprobSupport(self._post, self._judge, self._cannot)
        self._transport = transport
        self._calls: set[asyncio.Task[Any]] = set()
        self._stack = AsyncExitStack()
        self._limit_s = lru_cache(lambda max_tokens: runtime.timeout_s + runtime.timeout_per_token_s * max_tokens)
        self._limits = Limits(float("inf"), runtime.connect_timeout_s)
        self._questions = 0  # of our own, that were asked
        self._asking: dict[Server, asyncio.Task[bool]] = {}
        self._queued: dict[str, float] | None = None
        self._at_fault: dict[str, Counter[str]] = {}

    async def __aenter__(self) -> Self:
        """Open the session and look at every server once. Raises ServerError."""
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
        self._session = self._probe.transport = self._transport(headers)
        self._stack.push_async_callback(self._session.close)
        self._stack.push_async_callback(self._balancer.close)
        try:
            for server, why in (await self._probe.await_servers(self._servers)).items():
                self._balancer.set_aside(server, why)
        except BaseException:
            await self._stack.aclose()
            raise
        self.simulated = self._probe.simulated
        return self

    async def __aexit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        calls = [task for task in self._calls if task is not asyncio.current_task()]
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await self._stack.aclose()

    # --- for the engine and for people ----------------------------------------------------------------------------------------

    def limit_calls(self, concurrency: int) -> None:
        """Calls in flight at most, over all models: kept to here, since a call that waits for its next attempt or for a server
        holds no place. The caller then needs no limit of its own."""
        self._balancer.concurrency = concurrency
        self._queued = {}

    def queued(self, request: Request) -> float:
        """Seconds that an answered call was not at a server; forgotten once told."""
        return self._queued.pop(request.key, 0.0) if self._queued else 0.0

    def servers_out(self) -> list[str]:
        """The base URLs that get no calls for now."""
        return sorted({server.url for server in self._balancer.servers if server.unhealthy is not None})

    def servers(self) -> list[dict[str, Any]]:
        """Each model at each URL: calls in flight, the limit that they are kept to, why it is unhealthy (null: it is well)."""
        return [server.state() for server in self._balancer.servers]

    def in_flight(self) -> dict[str, int]:
        """Calls at servers now, by model."""
        return dict(self._balancer.in_flight)

    def account(self) -> dict[str, Any]:
        """For run.json: the servers as they are at the end, and the requests that were at fault, by model and reason."""
        return {"servers": self.servers(), "requests_at_fault": {model: dict(n) for model, n in self._at_fault.items()}}

    def drain(self) -> None:
        """End the calls that wait for a server or for another attempt, with Interrupted; those at a server go on."""
        self._balancer.drain()

    # --- calls ----------------------------------------------------------------------------------------------------------------

    async def chat(self, request: Request) -> Reply:
        """The model's reply. Raises ServerError once the retries are spent, or at once where no retry can help."""
        task = asyncio.current_task()
        if task is not None:
            self._calls.add(task)
        try:
            return await self._chat(request)
        finally:
            if task is not None:
                self._calls.discard(task)

    async def _chat(self, request: Request) -> Reply:
        balancer, loop = self._balancer, asyncio.get_running_loop()
        begun, working, ticket = loop.time(), 0.0, balancer.ticket()
        server: Server | None = None
        attempts = refusals = outages = 0  # failed attempts, 429s, and how often servers were unhealthy until the last fault
        row = own = hung = 0  # failed attempts since a server was unhealthy; those of them while it answered others; hanging ones
        worst, telling = None, (False, 0)  # of its faults, the one that says most of the request itself
        while True:
            try:
                call = await balancer.acquire(request.model, request.key, ticket, server)
            except Fault as fault:
                raise self._probe.unusable((server or self._servers[request.model][0]).url, request.model, str(fault)) from None
            server, sent = call.server, call.sent
            try:
                reply = await self._attempt(call, request)
                balancer.answered(call, attempts, usual=reply.error is None)
                if self._queued is not None:
                    self._queued[request.key] = loop.time() - begun - working - (loop.time() - sent)
                return reply
            except Fault as fault:
                others = await self._answers_others(call, fault)
                balancer.failed(call, fault)
                if worst is None or (others, _TELLING[fault.kind]) >= telling:
                    worst, telling = fault, (others, _TELLING[fault.kind])
                late = loop.time() >= balancer.give_up_at(request.model)
                if fault.kind == "busy":
                    refusals += 1
                    tried = f"after {refusals} attempts: {fault}"
                    if (late or refusals >= _BUSY_AT_FAULT) and server.answered and await self._answers(call):
                        return self._fault_of(request, server, worst, tried)
                    if late:
                        raise self._unusable(server, request, tried) from None
                    continue  # `acquire` waits as long as the server asks
                now_out = sum(one.outages for one in self._servers[request.model])
                if now_out > outages:  # what failed before, may have failed on account of that
                    row = own = hung = 0
                attempts, row, own, hung, outages = attempts + 1, row + 1, own + others, hung + call.hangs, now_out
                tried = f"after {attempts} attempts: {fault}"
                spent = attempts > self._runtime.retries
                enough = spent or hung >= 2 or row >= server.passing.attempts
                if enough or late:
                    alive = own == row or (server.unhealthy is None and await self._answers(call))
                    if alive and enough:
                        return self._fault_of(request, server, worst, tried)
                    if not alive and (late or spent):
                        raise self._unusable(server, request, tried) from None
                if own == row:  # nothing speaks for a wait: the server is well
                    wait = backoff(1, balancer.uniform)
                else:
                    wait = max(backoff(attempts, balancer.uniform), min(fault.retry_after or 0.0, LAST_BACKOFF_S))
            finally:
                working += loop.time() - sent
                balancer.release(call)
            await balancer.pause(wait)

    async def _attempt(self, call: Call, request: Request) -> Reply:
        """Ask once, with the schema where the server takes it. Raises Fault, ServerError."""
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
        except _Forbidden as forbidden:  # perhaps only this request: moderation in front of a model says 403
            if await self._answers(call):
                return Reply("", finish="error", error=str(forbidden))
            raise self._probe.unusable(call.server.url, request.model, str(forbidden), forbidden.status) from None

    async def _post(self, call: Call, request: Request, structured: bool, top: int = TOP[0]) -> Answer:
        settings, loop, limit_s = self._settings, asyncio.get_running_loop(), self._limit_s(request.max_tokens)
        body = body_of(
            request, self._specs[request.model], structured=structured, send_seed=settings.send_seed, extra=settings.extra_body,
            top=top,
        )  # fmt: skip
        sent, server, timer, why = loop.time(), call.server, None, ""

        def overdue() -> None:
            nonlocal timer, why
            now = loop.time()
            call.hangs = overtaken(call.others, call.ahead, server.in_flight)
            if queued(call.others, call.ahead, limit_s, server.quickest_s):
                self._balancer.overloaded(call, f"no reply within {now - sent:.0f} s")
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

    def _judge(self, call: Call, request: Request, answer: Answer) -> Reply:
        """What an answer means: a reply, a refusal of this request, a fault that may pass, or a server of no use."""
        status = answer.status
        if status != 200:
            words = f"HTTP {status}: {self._probe.redact(said(answer.body))}"
            if money_spent(status, answer.body[:2000].decode("utf-8", "replace")):
                raise _Forbidden(words, 402)
        else:
            try:
                return reply_from(answer.body, request.choices)
            except NoLogprobs:
                raise self._cannot(call.server.url, request.model, f"{NO_LOGPROBS}: its reply holds none", REMEDY) from None
            except ErrorBody as error:
                words, status = self._probe.redact(str(error)), error.code or 0
                if status not in (*_REFUSED, *_PERMANENT, 429) and status < 500:
                    raise Fault("body", words) from None
            except Malformed as error:
                raise Fault("body", self._probe.redact(str(error))) from None
        if status in _REFUSED:
            return Reply("", finish="error", error=words)
        if status >= 500 or status in _PASSING:
            raise Fault("busy" if status == 429 else "status", words, retry_after(answer.headers))
        if status == 403:
            raise _Forbidden(words)
        raise self._probe.unusable(call.server.url, request.model, words, status)

    async def _answers_others(self, call: Call, fault: Fault) -> bool:
        """Whether the server of a call that failed answers other requests."""
        if fault.kind == "timeout":  # it was overtaken, or its server fell silent: on account of this request?
            call.hangs = call.hangs or (call.server.answered > 0 and await self._answers(call))
            return call.hangs
        return call.others > 0 or (fault.kind == "body" and not call.server.suspect)  # that body is an answer of some kind

    async def _answers(self, call: Call) -> bool:
        """Whether the server answers a short question of ours, in the place of `call`. One at a time: who asks meanwhile, gets the
        same answer."""
        server = call.server
        asked = self._asking.get(server)
        if asked is None:
            asked = self._asking[server] = asyncio.create_task(self._ask_shortly(call))
            asked.add_done_callback(lambda _: self._asking.pop(server, None))
            self._calls.add(asked)
            asked.add_done_callback(self._calls.discard)
        return await asyncio.shield(asked)

    async def _ask_shortly(self, call: Call) -> bool:
        for number in range(_QUESTIONS):  # each is another one: a server that fails on one request always may answer the next
            self._questions += 1
            words = ({"role": "user", "content": f"Say hello. ({self._questions})"},)
            hello = Request(call.server.model, words, 0.0, 1.0, 1, self._questions)
            asked = self._balancer.again(call, hello.key)
            try:
                self._judge(asked, hello, await self._post(asked, hello, False))
            except Fault as fault:
                self._balancer.failed(asked, fault)
                slow = fault.kind == "timeout" and number > 0
                if slow or fault.kind == "busy" or call.server.unhealthy is not None:
                    return False
            except (_Forbidden, ServerError):
                return False
            else:
                self._balancer.answered(asked, usual=False)
                return True
        return False

    def _fault_of(self, request: Request, server: Server, worst: Fault, tried: str) -> Reply:
        """`request` is at fault: its reply says so, the terminal too, for the first few. The reply's words become part of the data:
        they hold no count, no time, and nothing else that differs from run to run."""
        told = self._at_fault.setdefault(request.model, Counter())
        words = _LASTING.get(worst.kind) or str(worst)
        told[words[:120]] += 1
        if sum(told.values()) <= _TOLD:
            more = "; further ones are counted in run.json" if sum(told.values()) == _TOLD else ""
            log.warning("%s, model `%s`: a request fails while others are answered, and is left out (%s)%s",
                        server.url, request.model, tried, more)  # fmt: skip
        return Reply("", finish="error", error=f"failed at every attempt: {words}")

    def _cannot(self, url: str, model: str, what: str, remedy: str) -> ServerError:
        return self._probe.unusable(url, model, what, remedy=remedy)

    def _unusable(self, server: Server, request: Request, tried: str) -> ServerError:
        return self._probe.unusable(server.url, request.model, tried)


class _Forbidden(Exception):
    """HTTP 403: the key may not ask this model, or not this; 402: words of another status that say that the money is spent (or
    echo a prompt that speaks of money)."""

    def __init__(self, words: str, status: int = 403):
        super().__init__(words)
        self.status = status
