"""A pool of servers that are started here, one for each model, and end with the run: pool=servers with `pool.serve`."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gra.errors import ServerError
from gra.models.base import Reply, Request
from gra.models.gpus import assign_gpus, visible_gpus
from gra.models.pool import ModelSettings
from gra.models.serving import Server, ServeSettings, kept_up, log_file

if TYPE_CHECKING:
    from gra.models.openai_server import OpenAIServer
    from gra.models.server_pool import PoolSettings


class Served:
    """A `gra.models.base.Backend`: servers for `models` (a part of the pool, or all of it), and the client that asks them."""

    def __init__(self, settings: PoolSettings, runtime: dict[str, Any], models: Sequence[ModelSettings]):
        assert settings.serve is not None
        self._settings, self._runtime, self._serve, self._specs = settings, runtime, settings.serve, list(models)
        self.models = tuple(model.name for model in models)
        self.simulated = settings.simulated
        self._stack = AsyncExitStack()
        self._servers: list[Server] = []
        self._scopes: set[asyncio.Timeout] = set()  # one for each call, to end it when its server is lost for good
        self.per_model: int | None = runtime.get("per_model")
        self._fault: ServerError | None = None
        self._gpus: dict[str, int] = {}
        self._begun = 0.0
        self._ended: float | None = None

    async def __aenter__(self) -> Self:
        """Start all servers side by side and wait for them. Raises ServerError; then none is left."""
        serve = self._serve
        self._gpus = {model.name: serve.gpus_of(model.name) for model in self._specs}
        gpus = assign_gpus(visible_gpus(), self._gpus)
        self._begun = time.monotonic()
        secrets = [os.environ.get(self._settings.api_key_env, "").strip()]
        self._servers = [
            Server(m, serve, gpus[m.name], log_file(self._runtime, m.name), secrets, len(self._specs)) for m in self._specs
        ]
        try:
            await self._start()
            self._client = await self._stack.enter_async_context(self._connect(serve))
        except BaseException:
            await self._stack.aclose()
            raise
        self.simulated = self._client.simulated
        return self

    async def __aexit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()
        self._ended = time.monotonic()

    async def chat(self, request: Request) -> Reply:
        """The model's reply. Raises ServerError, at once where a server has died once too often."""
        if self._fault is not None:
            raise self._fault
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._scopes.add(scope)
                return await self._client.chat(request)
        except TimeoutError:
            if self._fault is None:
                raise
            raise self._fault from None
        except ServerError as error:
            server = next(s for s in self._servers if s.model.name == request.model)
            raise self._fault or ServerError(f"{error}\n    log of the server: {server.log_file}") from error
        finally:
            self._scopes.discard(scope)

    def account(self) -> dict[str, Any]:
        """For run.json: how often each model's server was started."""
        return {"server_starts": {server.model.name: server.starts for server in self._servers}, **self._client.account()}

    def gpu_seconds(self) -> float | None:
        """GPUs x seconds that the servers had them; None where they were given none."""
        until = self._ended or time.monotonic()
        return sum(self._gpus.values()) * (until - self._begun) or None

    def drain(self) -> None:
        """As `OpenAIServer.drain`."""
        self._client.drain()

    def limit_calls(self, concurrency: int) -> None:
        """As `OpenAIServer.limit_calls`."""
        self._client.limit_calls(concurrency)

    def queued(self, request: Request) -> float:
        """As `OpenAIServer.queued`."""
        return self._client.queued(request)

    def servers(self) -> list[dict[str, Any]]:
        """As `OpenAIServer.servers`."""
        return self._client.servers()

    def in_flight(self) -> dict[str, int]:
        """As `OpenAIServer.in_flight`."""
        return self._client.in_flight()

    def servers_out(self) -> list[str]:
        """The base URLs that get no calls for now."""
        return self._client.servers_out()

    async def _start(self) -> None:
        """All at once: each in a stack of its own, so that those that are up are stopped side by side as well."""
        stacks = [AsyncExitStack() for _ in self._servers]

        async def stop() -> None:
            await asyncio.gather(*(stack.aclose() for stack in stacks))

        async def start(stack: AsyncExitStack, server: Server) -> None:
            watcher = await stack.enter_async_context(kept_up(server, self._serve.restarts))
            watcher.add_done_callback(self._watcher_ended)

        self._stack.push_async_callback(stop)
        try:
            async with asyncio.TaskGroup() as group:
                for stack, server in zip(stacks, self._servers, strict=True):
                    group.create_task(start(stack, server))
        except BaseExceptionGroup as faults:
            raise faults.exceptions[0] from None

    def _watcher_ended(self, watcher: asyncio.Task[None]) -> None:
        if watcher.cancelled():
            return
        fault = watcher.exception()
        self._fault = fault if isinstance(fault, ServerError) else ServerError(f"a server's watch failed: {fault!r}")
        for scope in list(self._scopes):
            if not scope.expired():
                scope.reschedule(asyncio.get_running_loop().time())

    def _connect(self, serve: ServeSettings) -> OpenAIServer:
        from gra.models import openai_server

        pool = self._settings.model_dump(by_alias=True) | {
            "models": [model.model_dump() for model in self._specs],
            "base_url": {server.model.name: server.url for server in self._servers},
            "serve": None,
        }
        patience = max(float(self._runtime.get("give_up_after_s", 600.0)), serve.start_timeout_s + 60)  # calls outlive a restart
        backend = openai_server.connect(pool, {**self._runtime, "give_up_after_s": patience})
        assert isinstance(backend, openai_server.OpenAIServer)
        return backend
