"""Calls model servers that run as other jobs and publish their addresses in a folder (`pool.addresses`). Servers can
start, move and end while the run continues, so the folder is read again every few seconds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from gra import server_addresses
from gra.errors import ServerError
from gra.models.base import Backend, Capabilities, Reply, Request
from gra.models.pool import ModelRuntime
from gra.server_addresses import UP, Address
from gra.waiting import reported

if TYPE_CHECKING:
    from gra.models.openai.settings import PoolSettings

LOOK_S = 3.0  # seconds between two looks into the folder
log = logging.getLogger(__name__)


class Client(Protocol):
    """The protocol of a client to which servers can be added, and from which they can be removed, during a run.
    `gra.models.openai.backend.OpenAIServer` implements it."""

    simulated: bool

    @property
    def capabilities(self) -> Capabilities:
        """See `Backend`."""
        ...

    async def __aenter__(self) -> Self:
        """See `Backend`."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See `Backend`."""
        ...

    async def chat(self, request: Request) -> Reply:
        """See `Backend`."""
        ...

    async def take_up(self, model: str, url: str) -> str | None:
        """Add the server of `model` at `url` to the servers that are called. Return None if it was added, else the
        reason why not."""
        ...

    def retire(self, model: str, url: str) -> None:
        """Call the server of `model` at `url` no more."""
        ...


class FoundServers(Backend):
    """A backend that calls servers that other jobs run. It finds the addresses that these servers publish.

    `client`: a function that returns the client with which the servers are called (`gra.models.openai.backend.client`).
    """

    def __init__(
        self,
        settings: PoolSettings,
        runtime: ModelRuntime,
        client: Callable[[PoolSettings, ModelRuntime], Client],
    ):
        assert settings.addresses is not None
        self._folder, self._wait_s = Path(settings.addresses), runtime.startup_wait_s
        self._client = client(settings.model_copy(update={"base_url": None, "serve": None}), runtime)
        self.models = tuple(model.name for model in settings.models)
        self._used: dict[int, Address] = {}  # by the number of the server task
        self._refused: dict[str, str] = {}  # URL -> why it is not called yet
        self._stack = AsyncExitStack()

    @property
    def simulated(self) -> bool:  # type: ignore[override]
        """Whether the config or a server says that the models are simulated."""
        return self._client.simulated

    async def __aenter__(self) -> Self:
        """Wait until each model has a server that answers. Raises ServerError after `runtime.startup_wait_s`
        seconds."""
        await self._stack.enter_async_context(self._client)
        try:
            await self._await_first()
        except BaseException:
            await self._stack.aclose()
            raise
        following = asyncio.create_task(self._follow(), name="follow addresses")

        async def stop() -> None:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following

        self._stack.push_async_callback(stop)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def chat(self, request: Request) -> Reply:
        """Return the model's reply. Raises ServerError."""
        return await self._client.chat(request)

    @property
    def capabilities(self) -> Capabilities:
        """The client's capabilities."""
        return self._client.capabilities

    async def _await_first(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._wait_s
        with reported(lambda: f"waiting for a server of {self._missing()} (up to {self._wait_s:g} s)"):
            while True:
                await self._look()
                if not self._without():
                    return
                if loop.time() >= deadline:
                    raise self._none_came()
                await asyncio.sleep(min(LOOK_S, max(deadline - loop.time(), 0.05)))

    def _without(self) -> list[str]:
        """The models that have no server."""
        served = {address.model for address in self._used.values()}
        return [model for model in self.models if model not in served]

    def _none_came(self) -> ServerError:
        what = f"no address of a server of {self._missing()} in {self._folder} within {self._wait_s:g} s"
        remedy = "`gra status` shows the server jobs and their logs; `gra submit` queues those that are missing"
        return ServerError(f"{what}\n    -> {remedy}")

    def _missing(self) -> str:
        why = "; ".join(f"{url}: {reason}" for url, reason in list(self._refused.items())[:3])
        return ", ".join(self._without()) + (f" ({why})" if why else "")

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self._look()
            except OSError as error:
                log.warning("%s cannot be read: %s", self._folder, error)

    async def _look(self) -> None:
        """Read the folder of addresses. Start to call new servers that answer. Stop calling a server if its job has
        marked it as ended, or has started it again elsewhere.

        A server that is called already stays in use even if its file was not rewritten for long: the client checks
        itself whether the server answers.
        """
        there = await asyncio.to_thread(server_addresses.read_all, self._folder)
        for number, used in list(self._used.items()):
            now = there.get(number)
            if now is not None and now.state == UP and now.url == used.url and now.same_task(used):
                continue
            del self._used[number]
            self._client.retire(used.model, used.url)
            log.info("%s of model `%s` (job %s) is not called any more", used.url, used.model, used.job)
        self._refused = {}
        for number, address in there.items():
            if number in self._used or address.model not in self.models or address.state != UP or not address.fresh:
                continue
            if (why := await self._client.take_up(address.model, address.url)) is not None:
                self._refused[address.url] = why
                continue
            self._used[number] = address
            log.info("%s of model `%s` (job %s) is called from now on", address.url, address.model, address.job)
