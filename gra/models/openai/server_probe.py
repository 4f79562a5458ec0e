"""Checks whether servers are up and which models they list, and writes the error messages about unusable servers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol

from gra.errors import ServerError
from gra.models.openai.http_client import Answer, Fault, Limits
from gra.models.openai.server_state import Server
from gra.models.openai.settings import PoolSettings
from gra.models.openai.wire import listed_models, said, serves
from gra.models.pool import ModelRuntime
from gra.waiting import reported

log = logging.getLogger(__name__)

SIMULATED_OWNER = "simulation"  # `owned_by` of the models of gra.simulation.server
NOT_UP_YET = (502, 503, 504)  # from llama.cpp and gateways while a model loads
_MAX_PROBE_S = 30.0


class Transport(Protocol):
    """Sends requests: `http_client.Session`, or a simulated session in tests."""

    def exchange(self, method: str, url: str, body: bytes | None, limits: Limits) -> Awaitable[Answer]:
        """Send one request and return its answer. Raises Fault."""
        ...

    def close(self) -> Awaitable[None]:
        """Close every connection."""
        ...


class Probe:
    """Makes all requests to a pool's servers except chat completions. `key`: the API key. Messages never show it."""

    def __init__(self, settings: PoolSettings, runtime: ModelRuntime, key: str):
        self._settings, self._runtime, self._key = settings, runtime, key
        self._limits = Limits(min(runtime.timeout_s, _MAX_PROBE_S), runtime.connect_timeout_s)
        self.transport: Transport | None = None  # set when the backend opens
        self.simulated = settings.simulated

    async def await_servers(self, servers: Mapping[str, Sequence[Server]]) -> dict[Server, str]:
        """Wait until every model has at least one server that answers. Return the servers that still do not answer,
        each with the reason. Raises ServerError if a model has no server after `runtime.startup_wait_s` seconds, or a
        server does not list its model."""
        urls = {server.url: server for group in servers.values() for server in group}
        listed: dict[str, set[str] | None] = {}
        faults: dict[str, Fault] = {}

        def waits() -> str | None:
            dark = [f"{url} ({fault})" for url, fault in list(faults.items())]
            hint = f"up to {self._runtime.startup_wait_s:g} s; if none is starting, stop and correct pool.base_url"
            return f"waiting for {_servers(dark)} ({hint})" if dark else None

        with reported(waits):
            await self._until_up(servers, urls, listed, faults)
        for group in servers.values() if self._settings.check_models else ():
            for server in group:
                self._check_listed(server, listed.get(server.url))
        return {s: str(faults[s.url]) for group in servers.values() for s in group if s.url in faults}

    async def _until_up(
        self,
        servers: Mapping[str, Sequence[Server]],
        urls: Mapping[str, Server],
        listed: dict[str, set[str] | None],
        faults: dict[str, Fault],
    ) -> None:
        """Update `listed` and `faults`, by URL, until every model has a server that answers. Raises ServerError."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._runtime.startup_wait_s
        while True:
            missing = [server for url, server in urls.items() if url not in listed]
            found = await asyncio.gather(*(self._list_models(server) for server in missing))
            faults.clear()
            faults.update({s.url: f for s, f in zip(missing, found, strict=True) if isinstance(f, Fault)})
            listed |= {s.url: f for s, f in zip(missing, found, strict=True) if not isinstance(f, Fault)}
            dark = {m: group for m, group in servers.items() if not any(s.url in listed for s in group)}
            if not dark:
                return
            if loop.time() >= deadline:
                model, group = next(iter(dark.items()))
                tried = f"no answer within {self._runtime.startup_wait_s:g} s: {faults[group[0].url]}"
                raise self.unusable(group[0].url, model, tried)
            await asyncio.sleep(min(1.0, max(deadline - loop.time(), 0.05)))

    async def refusal(self, server: Server) -> str | None:
        """Return the reason why no calls can be sent to `server`, or None if calls can be sent. The reason is that the
        server does not answer or does not list its model."""
        try:
            listed = await self._list_models(server)
            if isinstance(listed, Fault):
                return str(listed)
            if self._settings.check_models:
                self._check_listed(server, listed)
        except ServerError as error:
            return str(error).partition("\n")[0]
        return None

    async def alive(self, server: Server) -> bool:
        """Return whether `server` answers. An answer does not count if its HTTP status shows that the server is still
        starting (`NOT_UP_YET`)."""
        assert self.transport is not None
        try:
            answer = await self.transport.exchange("GET", f"{server.url}/models", None, self._limits)
        except Fault:
            return False
        return answer.status not in NOT_UP_YET

    def unusable(
        self, url: str, model: str, what: str, status: int | None = None, remedy: str | None = None
    ) -> ServerError:
        """Return the error that ends a run because a server cannot be used. Its text names the server, the model, what
        happened, and what to do."""
        variable, state = self._settings.api_key_env, "is set" if self._key else "is not set"
        remedies = {
            401: f"check the key in the environment variable {variable} (which {state})",
            402: "add credit at the provider; the same command resumes. A committee without this model is another configuration: "
            "remove it from pool.models and use a new output folder (runtime.reuse reuses the replies of this one)",
            403: f"check the permissions of the key in the environment variable {variable} (which {state})",
            404: "check the model's name and pool.base_url: /chat/completions is appended to it, so it usually ends in /v1",
        }
        usual = "check that the server is up and pool.base_url is right; the same command resumes"
        return ServerError(f"{url}, model `{model}`: {what}\n    -> {remedy or remedies.get(status or 0, usual)}")

    def redact(self, text: str) -> str:
        """Return `text` without the key."""
        return text.replace(self._key, "***") if self._key else text

    def _check_listed(self, server: Server, names: set[str] | None) -> None:
        served = next(m.served for m in self._settings.models if m.name == server.model)
        if names and not serves(names, served):
            what = f"the server does not list `{served}`; it has: {', '.join(sorted(names)[:20])}"
            remedy = "correct pool.models (NAME, or {name: NAME, model: ID}), or set pool.check_models=false"
            raise self.unusable(server.url, server.model, what, remedy=remedy)

    async def _list_models(self, server: Server) -> set[str] | Fault | None:
        """Return the ids that GET /models lists; None if it lists none; a Fault if the server is not up. Raises ServerError."""
        assert self.transport is not None
        try:
            answer = await self.transport.exchange("GET", f"{server.url}/models", None, self._limits)
        except Fault as fault:
            return fault
        words = self.redact(said(answer.body))
        if answer.status in NOT_UP_YET:
            return Fault("status", f"HTTP {answer.status}: {words}")
        if answer.status in (401, 403):
            raise self.unusable(server.url, "(list of models)", f"HTTP {answer.status}: {words}", answer.status)
        owners = listed_models(answer.body) if answer.status == 200 else {}
        if not owners:
            log.info("%s lists no models (HTTP %d): model names are not checked", server.url, answer.status)
            return None
        if SIMULATED_OWNER in owners.values():
            self.simulated = True  # even if the config says otherwise: the data must carry the label
        return set(owners)


def _servers(named: Sequence[str]) -> str:
    """Return `server A`, or `servers A, B, C and 2 more`."""
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return f"server{'s' if len(named) > 1 else ''} {', '.join(named[:3])}{more}"
