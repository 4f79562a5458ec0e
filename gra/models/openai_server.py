"""Models behind any /v1/chat/completions (vLLM, SGLang, llama.cpp, Ollama, TGI): conf/pool/servers.yaml, conf/pool/ollama.yaml.

The API key comes from the environment variable that `pool.api_key_env` names; it is in no config, message, log or repr.
Passing faults are retried (http_retry.py); what a server refuses for good becomes a `Reply` with `error`; a server that
cannot be used at all is a ServerError.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import AsyncExitStack, nullcontext
from dataclasses import replace
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr

from gra.errors import ConfigError, Problem, ServerError
from gra.models.base import Reply, Request
from gra.models.chat_wire import Malformed, body_of, listed_models, reply_from, said, serves
from gra.models.http_client import Answer, Fault, Limits, Session
from gra.models.http_retry import Fleet, Server, backoff, retry_after
from gra.models.pool import ModelRuntime
from gra.models.served import Served
from gra.models.server_pool import PoolSettings
from gra.settings import parse

__all__ = ["OpenAIServer", "PoolSettings", "connect"]
log = logging.getLogger(__name__)

SIMULATED_OWNER = "simulation"  # `owned_by` of the models of gra.simulation.server

_REFUSED = (400, 413, 422)  # this request, for good
_PASSING = (408, 409, 425, 429)  # and all 5xx
_MAY_MEAN_SCHEMA = (400, 422, 500, 501)  # answers of servers that cannot do response_format (llama-cpp-python: 500)
_NOT_UP_YET = (502, 503, 504)  # llama.cpp and gateways while a model loads
_MAX_PROBE_S = 30.0
_QUESTIONS = ("Reply with a short example.", "Fill in the form with any values.")


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
    """A `gra.models.base.Backend` over one HTTP session. Limits on calls in flight over all models are the caller's."""

    def __init__(self, settings: PoolSettings, runtime: ModelRuntime, key: SecretStr):
        self._settings, self._runtime, self._key = settings, runtime, key
        self.models = tuple(model.name for model in settings.models)
        self.simulated = settings.simulated
        self._specs = {model.name: model for model in settings.models}
        by_url = {url: Server(url, runtime.per_server) for model in settings.models for url in settings.urls_of(model)}
        self._servers = {model.name: [by_url[url] for url in settings.urls_of(model)] for model in settings.models}
        self._fleet = Fleet(self._alive)
        self.per_model = runtime.per_model
        self._slots = {name: asyncio.Semaphore(runtime.per_model) for name in self.models} if runtime.per_model else {}
        self._takes_schema: dict[tuple[str, str, str], bool] = {}  # (URL, model, schema's name): as seen there
        self._settling: dict[tuple[str, str, str], asyncio.Lock] = {}
        self._calls: set[asyncio.Task[Any]] = set()
        self._stack = AsyncExitStack()
        self._limits = lru_cache(self._make_limits)
        self._probe_limits = Limits(min(runtime.timeout_s, _MAX_PROBE_S), runtime.connect_timeout_s)

    async def __aenter__(self) -> Self:
        """Open the session and look at every server once. Raises ServerError."""
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
        self._session = Session(headers)
        self._stack.push_async_callback(self._session.close)
        self._stack.push_async_callback(self._fleet.close)
        try:
            await self._await_servers()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        calls = [task for task in self._calls if task is not asyncio.current_task()]
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await self._stack.aclose()

    def servers_out(self) -> list[str]:
        """The base URLs that are set aside."""
        return sorted({server.url for group in self._servers.values() for server in group if server.aside})

    def drain(self) -> None:
        """End the calls that wait for a server or for another attempt, with Interrupted; those at a server go on."""
        self._fleet.drain()

    async def chat(self, request: Request) -> Reply:
        """The model's reply. Raises ServerError once the retries are spent, or at once where no retry can help."""
        servers = self._servers[request.model]
        task = asyncio.current_task()
        if task is not None:
            self._calls.add(task)
        server: Server | None = None
        attempts, deadline, faulted = 0, time.monotonic() + self._runtime.give_up_after_s, False
        try:
            while True:
                try:
                    server = await self._fleet.pick(servers, server, deadline)
                except Fault as fault:
                    raise self._unusable(server or servers[0], request.model, str(fault)) from None
                try:
                    reply = await self._attempt(server, request)
                    self._fleet.well(server)
                    return reply
                except Fault as fault:
                    self._fleet.failed(server, fault)
                    now = time.monotonic()
                    if not faulted:
                        deadline, faulted = now + self._runtime.give_up_after_s, True
                    if fault.kind == "busy":
                        deadline = max(deadline, server.answered_at + self._runtime.give_up_after_s)
                        if now < deadline:
                            continue  # `pick` waits; no attempt is spent while the server answers others
                    attempts += 1
                    if attempts > self._runtime.retries or now >= deadline:
                        return await self._give_up(server, request, fault, attempts)
                    await self._fleet.pause(min(backoff(attempts), deadline - now))
        finally:
            if task is not None:
                self._calls.discard(task)

    async def _attempt(self, server: Server, request: Request) -> Reply:
        """Ask `server` once; the first time it refuses a schema, find out whether it refuses schemas at all."""
        form = (server.url, request.model, request.schema_name or "")
        takes = self._takes_schema.get(form)
        structured = request.schema is not None and self._settings.structured != "off" and takes is not False
        answer = await self._post(server, request, structured)
        if answer.status == 200:
            if structured and takes is None:
                self._takes_schema[form] = True
        elif structured and takes is None and self._settings.structured == "auto" and answer.status in _MAY_MEAN_SCHEMA:
            answer = await self._without_schema(server, request, form) or answer
        return self._judge(server, request.model, answer)

    async def _without_schema(self, server: Server, request: Request, form: tuple[str, str, str]) -> Answer | None:
        """The answer in plain text if `server` cannot do `response_format` with this schema; None if it can.

        A refusal alone proves nothing (the context may be too long), nor does its being gone without the schema (the
        request is another one then). So the schema is tried on two short questions of ours: what is found depends on the
        server alone, not on which request came first.
        """
        async with self._settling.setdefault(form, asyncio.Lock()):
            takes = self._takes_schema.get(form)
            if takes is None and not await self._refuses(server, request, _QUESTIONS[0]):
                takes = self._takes_schema[form] = True
            if takes:
                return None
            answer = await self._post(server, request, False)
            if answer.status != 200:
                return None
            if takes is None:  # asked once more: a server that just came up refused all before, and nothing from now on
                takes = self._takes_schema[form] = not await self._refuses(server, request, _QUESTIONS[1])
                if takes:
                    return await self._post(server, request, True)
                log.warning("%s refuses the schema `%s` for %s: asked in plain text from now on", form[0], form[2], form[1])
            return answer

    async def _refuses(self, server: Server, request: Request, question: str) -> bool:
        """Whether `server` refuses the schema of `request` with a short question. Raises Fault, ServerError."""
        short = replace(request, messages=({"role": "user", "content": question},), temperature=0.0, max_tokens=16)
        answer = await self._post(server, short, True)
        if answer.status not in (200, *_MAY_MEAN_SCHEMA):
            self._judge(server, request.model, answer)  # raises
        return answer.status != 200

    async def _post(self, server: Server, request: Request, structured: bool) -> Answer:
        settings = self._settings
        model, extra = self._specs[request.model], settings.extra_body
        body = body_of(request, model, structured=structured, send_seed=settings.send_seed, extra=extra)
        server.in_flight += 1  # those that wait for it, too: the next call goes where fewest do
        try:
            async with self._slots.get(request.model) or nullcontext(), server.slots:
                return await self._session.exchange("POST", server.chat_url, body, self._limits(request.max_tokens))
        finally:
            server.in_flight -= 1

    def _judge(self, server: Server, model: str, answer: Answer) -> Reply:
        """What an answer means: a reply, a refusal of this request, a fault that may pass, or a server of no use."""
        status = answer.status
        if status == 200:
            try:
                return reply_from(answer.body)
            except Malformed as error:
                raise Fault("body", self._redact(str(error))) from None
        words = self._redact(said(answer.body))
        if status in _REFUSED:
            return Reply("", finish="error", error=f"HTTP {status}: {words}")
        if status >= 500 or status in _PASSING:
            raise Fault("busy" if status == 429 else "status", f"HTTP {status}: {words}", retry_after(answer.headers))
        raise self._unusable(server, model, f"HTTP {status}: {words}", status)

    async def _give_up(self, server: Server, request: Request, fault: Fault, attempts: int) -> Reply:
        """The retries are spent: the request's own fault where the server answers another one, else the server's."""
        tried = f"after {attempts} attempts: {fault}"
        if fault.kind == "body":
            return Reply("", finish="error", error=tried)
        hello = replace(request, messages=({"role": "user", "content": "Hello"},), max_tokens=1, schema=None)
        try:
            if fault.kind in ("timeout", "status", "connection") and (await self._post(server, hello, False)).status == 200:
                return Reply("", finish="error", error=tried)
        except Fault:
            pass
        raise self._unusable(server, request.model, tried)

    async def _await_servers(self) -> None:
        """Look at each server until every model has one that answers. Raises ServerError."""
        servers = {server.url: server for group in self._servers.values() for server in group}
        listed: dict[str, set[str] | None] = {}
        deadline = time.monotonic() + self._runtime.startup_wait_s
        while True:
            missing = [server for url, server in servers.items() if url not in listed]
            found = await asyncio.gather(*(self._list_models(server) for server in missing))
            faults = {s.url: f for s, f in zip(missing, found, strict=True) if isinstance(f, Fault)}
            listed |= {s.url: f for s, f in zip(missing, found, strict=True) if not isinstance(f, Fault)}
            dark = {m: group for m, group in self._servers.items() if not any(s.url in listed for s in group)}
            if not dark:
                break
            if time.monotonic() >= deadline:
                model, group = next(iter(dark.items()))
                tried = f"no answer within {self._runtime.startup_wait_s:g} s: {faults[group[0].url]}"
                raise self._unusable(group[0], model, tried)
            await asyncio.sleep(min(1.0, max(deadline - time.monotonic(), 0.05)))
        for url, fault in faults.items():
            self._fleet.set_aside(servers[url], str(fault))
        for model, group in self._servers.items() if self._settings.check_models else ():
            for server in group:
                names = listed.get(server.url)
                served = self._specs[model].served
                if names and not serves(names, served):
                    what = f"the server does not list `{served}`; it has: {', '.join(sorted(names)[:20])}"
                    remedy = "correct pool.models (NAME, or {name: NAME, model: ID}), or set pool.check_models=false"
                    raise self._unusable(server, model, what, remedy=remedy)

    async def _list_models(self, server: Server) -> set[str] | Fault | None:
        """Ids that GET /models lists; None where that says nothing; a Fault where the server is not up. Raises ServerError."""
        try:
            answer = await self._session.exchange("GET", f"{server.url}/models", None, self._probe_limits)
        except Fault as fault:
            return fault
        words = self._redact(said(answer.body))
        if answer.status in _NOT_UP_YET:
            return Fault("status", f"HTTP {answer.status}: {words}")
        if answer.status in (401, 403):
            raise self._unusable(server, "(list of models)", f"HTTP {answer.status}: {words}", answer.status)
        owners = listed_models(answer.body) if answer.status == 200 else {}
        if not owners:
            log.info("%s lists no models (HTTP %d): going on without that check", server.url, answer.status)
            return None
        if SIMULATED_OWNER in owners.values():
            self.simulated = True  # whatever the config says: nothing from there may pass for real
        return set(owners)

    async def _alive(self, server: Server) -> bool:
        """Whether anything answers at `server`."""
        try:
            answer = await self._session.exchange("GET", f"{server.url}/models", None, self._probe_limits)
        except Fault:
            return False
        return answer.status not in _NOT_UP_YET

    def _unusable(self, server: Server, model: str, what: str, status: int | None = None, remedy: str | None = None) -> ServerError:
        variable, state = self._settings.api_key_env, "is set" if self._key else "is not set"
        remedies = {
            401: f"check the key in the environment variable {variable} (which {state})",
            403: f"check what the key in the environment variable {variable} (which {state}) may do",
            404: "check the model's name, and that pool.base_url is what /chat/completions follows (mostly it ends in /v1)",
        }
        usual = "check that the server is up and pool.base_url right; the same command goes on from here"
        return ServerError(f"{server.url}, model `{model}`: {what}\n    -> {remedy or remedies.get(status or 0, usual)}")

    def _redact(self, text: str) -> str:
        key = self._key.get_secret_value()
        return text.replace(key, "***") if key else text

    def _make_limits(self, max_tokens: int) -> Limits:
        seconds = self._runtime.timeout_s + self._runtime.timeout_per_token_s * max_tokens
        return Limits(seconds, self._runtime.connect_timeout_s)
