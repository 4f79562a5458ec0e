"""Starts one server per model, calls the servers, and stops them at the end of the run: pool=servers with
`pool.serve`."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gra.errors import ServerError
from gra.models.base import Backend, Capabilities, Reply, Request
from gra.models.launch.gpus import assign_gpus, visible_gpus
from gra.models.launch.server import ServerProcess, ServeSettings, kept_up, log_file
from gra.models.pool import ModelRuntime, ModelSettings

if TYPE_CHECKING:
    from gra.models.openai.settings import PoolSettings


class StartedServers(Backend):
    """A backend that starts a server for each of `models` and calls these servers.

    `models`: all or some models of the pool. `client`: a function that returns the client with which the servers are
    called (`gra.models.openai.backend.client`).
    """

    def __init__(
        self,
        settings: PoolSettings,
        runtime: ModelRuntime,
        models: Sequence[ModelSettings],
        client: Callable[[PoolSettings, ModelRuntime], Backend],
    ):
        assert settings.serve is not None
        self._make_client = client
        self._settings, self._runtime, self._serve, self._specs = settings, runtime, settings.serve, list(models)
        self.models = tuple(model.name for model in models)
        self.simulated = settings.simulated
        self._stack = AsyncExitStack()
        self._servers: list[ServerProcess] = []
        self._scopes: set[asyncio.Timeout] = set()  # one per call; ends the call when a server has no restarts left
        self._fault: ServerError | None = None
        self._gpus: dict[str, int] = {}
        self._begun = 0.0
        self._ended: float | None = None

    async def __aenter__(self) -> Self:
        """Start all servers at once and wait until they are healthy. If one fails, stop all and raise ServerError."""
        serve = self._serve
        self._gpus = {model.name: serve.gpus_of(model.name) for model in self._specs}
        gpus = assign_gpus(visible_gpus(), self._gpus)
        self._begun = time.monotonic()
        secrets = [os.environ.get(self._settings.api_key_env, "").strip()]
        self._servers = [
            ServerProcess(m, serve, gpus[m.name], log_file(self._runtime.log_folder, m.name), secrets, len(self._specs))
            for m in self._specs
        ]
        try:
            await self._start()
            self._client = await self._stack.enter_async_context(self._connected(serve))
        except BaseException:
            await self._stack.aclose()
            raise
        self.simulated = self._client.simulated
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        self._ended = time.monotonic()

    async def chat(self, request: Request) -> Reply:
        """Return the model's reply. Raises ServerError if the call keeps failing, or as soon as any of the servers has
        died and has no restarts left."""
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
            raise self._fault or ServerError(f"{error}\n    server log: {server.log_file}") from error
        finally:
            self._scopes.discard(scope)

    @property
    def capabilities(self) -> Capabilities:
        """A copy of the capabilities of the client that calls the servers. Only its functions `account` and
        `gpu_seconds` are not the client's. They are the methods of this object."""
        return replace(self._client.capabilities, account=self.account, gpu_seconds=self.gpu_seconds)

    def account(self) -> dict[str, Any]:
        """Return two facts for run.json: how often each model's server was started, and what the client reports."""
        return {
            "server_starts": {server.model.name: server.starts for server in self._servers},
            **self._client.capabilities.account(),
        }

    def gpu_seconds(self) -> float | None:
        """Return GPUs x seconds since the servers were started; None without GPUs."""
        until = self._ended or time.monotonic()
        return sum(self._gpus.values()) * (until - self._begun) or None

    async def _start(self) -> None:
        """Start all servers at once. Each server has its own exit stack, so that all are also stopped at once."""
        stacks = [AsyncExitStack() for _ in self._servers]

        async def stop() -> None:
            await asyncio.gather(*(stack.aclose() for stack in stacks))

        async def start(stack: AsyncExitStack, server: ServerProcess) -> None:
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
        self._fault = fault if isinstance(fault, ServerError) else ServerError(f"restarting a server failed: {fault!r}")
        for scope in list(self._scopes):
            if not scope.expired():
                scope.reschedule(asyncio.get_running_loop().time())

    def _connected(self, serve: ServeSettings) -> Backend:
        urls = {server.model.name: server.url for server in self._servers}
        pool = self._settings.model_copy(update={"models": self._specs, "base_url": urls, "serve": None})
        # a call waits while its server restarts
        patience = max(self._runtime.give_up_after_s, serve.start_timeout_s + 60)
        return self._make_client(pool, self._runtime.model_copy(update={"give_up_after_s": patience}))
