"""Runs models in this process with transformers, without a server, on one GPU or a CPU: conf/pool/transformers.yaml.

A model is loaded on its first call, in a worker thread. If `pool.max_loaded` models are in memory, the least recently used
one is unloaded first. Calls to loaded models are served first. Among the models that are not loaded, the one with
the most waiting calls is loaded next. With `pool.batch` 1 a reply depends only on its request, at any concurrency.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field

from gra.errors import Problem
from gra.models.base import Backend, Reply, Request
from gra.models.pool import ModelSettings, PoolBase, parsed
from gra.paths import expanded

if TYPE_CHECKING:
    from gra.models.local.generation import LocalModel

_LULL_S = 0.02  # seconds to wait before a swap: a reply often leads to a new call to the same model
Waiting = tuple[Request, asyncio.Future[Reply]]


class PoolSettings(PoolBase):
    """The keys of the config group `pool` if transformers runs the models in this process. Each `model` is a folder or
    a hub id, loaded with its `revision` and `dtype`."""

    device: str = Field("auto", description="Device of the models: auto (CUDA if available), cpu, cuda, cuda:1, mps.")
    dtype: str = Field("auto", description="dtype of the models that set none. auto: as saved.")
    max_loaded: int = Field(1, ge=1, description="Limit on models in memory at the same time.")
    batch: int = Field(
        1,
        ge=1,
        description="Number of calls per batch. More than 1 is faster, but replies can then depend on the other calls of the "
        "batch (rounding).",
    )
    structured: Literal["auto", "off"] = Field(
        "auto",
        description="auto: JSON schemas are enforced if llguidance is installed; off: JSON is requested in plain text.",
    )
    strip_think: bool = Field(True, description="true: remove the reasoning (e.g. between think tags) from replies.")
    chat_template_kwargs: dict[str, Any] = Field(
        default_factory=dict, description="Arguments of the chat template, e.g. {enable_thinking: false}."
    )
    trust_remote_code: bool = Field(False, description="true: run the code of a model's repository.")

    def problems(self) -> list[Problem]:
        found = super().problems()
        for index, model in enumerate(self.models):
            folder = expanded(model.served)
            if model.served.startswith(("/", "./", "../", "~")) and not (folder / "config.json").is_file():
                what = f"not a model folder: {model.served} has no config.json"
                found.append(
                    Problem(f"pool.models.{index}", what, "give a folder written by save_pretrained, or a hub id")
                )
        return found


def connect(pool: dict[str, Any], runtime: dict[str, Any]) -> TransformersLocal:
    """Return the backend for `pool`; `pool._target_` names this function. Raises ConfigError."""
    settings, _ = parsed(PoolSettings, pool, runtime)
    return TransformersLocal(settings)


class TransformersLocal(Backend):
    """A `gra.models.base.Backend` whose models run in this process."""

    def __init__(self, settings: PoolSettings):
        self._settings = settings
        self.models = tuple(model.name for model in settings.models)
        self.simulated = settings.simulated
        self._specs: dict[str, ModelSettings] = {model.name: model for model in settings.models}
        self._waiting: dict[str, list[Waiting]] = {name: [] for name in self.models}
        self._loaded: dict[str, LocalModel] = {}  # least recently used first
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="transformers")
        self._stop = threading.Event()
        self._driver: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()  # ends the running generation at its next token
        if self._driver is not None:
            self._driver.cancel()
            await asyncio.gather(self._driver, return_exceptions=True)
        for _, future in (item for queue in self._waiting.values() for item in queue):
            future.cancel()
        await asyncio.to_thread(self._thread.shutdown)
        self._loaded.clear()

    async def chat(self, request: Request) -> Reply:
        """Return the model's reply. Raises ServerError if the model cannot be loaded or run."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[request.model].append((request, future))
        if self._driver is None or self._driver.done():
            self._driver = asyncio.create_task(self._drive())
        return await future

    async def _drive(self) -> None:
        """Answer calls until none is waiting."""
        loop = asyncio.get_running_loop()
        while name := await self._next():
            batch, self._waiting[name] = (
                self._waiting[name][: self._settings.batch],
                self._waiting[name][self._settings.batch :],
            )
            batch = [
                (request, future) for request, future in batch if not future.done()
            ]  # a future that is done was cancelled by its caller
            if not batch:
                continue
            try:
                replies = await loop.run_in_executor(
                    self._thread, self._answer, name, [request for request, _ in batch]
                )
            except asyncio.CancelledError:
                for _, future in batch:
                    future.cancel()
                raise
            except Exception as error:  # noqa: BLE001 - not swallowed: the callers get the error
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), reply in zip(batch, replies, strict=True):
                if not future.done():
                    future.set_result(reply)

    async def _next(self) -> str | None:
        """Return the model to run next; None if no call is waiting."""
        for lull in (0.0, _LULL_S if self._loaded else 0.0):
            await asyncio.sleep(lull)
            ready = [name for name in self._loaded if self._waiting[name]]
            if ready:
                return max(ready, key=lambda name: len(self._waiting[name]))
        waiting = [name for name in self.models if self._waiting[name]]
        return max(waiting, key=lambda name: len(self._waiting[name])) if waiting else None

    def _answer(self, name: str, requests: list[Request]) -> list[Reply]:
        """Return the replies in the order of `requests`. Runs in the worker thread. Raises ServerError."""
        from gra.models.local.generation import LocalModel

        model = self._loaded.pop(name, None)
        if model is None:
            while len(self._loaded) >= self._settings.max_loaded:
                self._loaded.pop(next(iter(self._loaded))).unload()
            settings = self._settings
            model = LocalModel(
                self._specs[name],
                device=settings.device,
                dtype=self._specs[name].dtype or settings.dtype,
                trust_remote_code=settings.trust_remote_code,
            )
        self._loaded[name] = model
        return model.answer(
            requests,
            structured=self._settings.structured == "auto",
            template_options=self._settings.chat_template_kwargs,
            stop=self._stop,
        )
