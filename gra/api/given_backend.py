"""Uses a backend that the caller made: an object with `async def chat(request)`, which returns a text or a `Reply`.

The pool's key `backend` holds the name of the object's class, so this name is part of the step's fingerprint. The
object itself exists only in the caller's process: `given` registers it there, and `connect` finds it by the name.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from pydantic import Field

from gra.api.retrying import Retrying
from gra.errors import ConfigError, Problem
from gra.models.base import Backend, Capabilities, Reply, Request
from gra.models.pool import ModelRuntime, PoolBase

_given: dict[str, Any] = {}


class PoolSettings(PoolBase):
    """Keys of a pool whose backend is a Python object that the caller of `gra.api` made."""

    backend: str = Field(description="Module and name of the class of the backend.")


@contextmanager
def given(backend: Any) -> Iterator[str]:
    """Register the caller's object `backend` during the `with` block, so that the function `connect` can find it. Yield
    the name under which the object is registered.

    Raises ConfigError if the backend has no `async def chat`.
    """
    kind = type(backend)
    chat = getattr(backend, "chat", None)
    if not callable(chat) or (
        inspect.isfunction(getattr(chat, "__func__", chat)) and not inspect.iscoroutinefunction(chat)
    ):
        told = (
            f"{kind.__qualname__} has no method `chat`"
            if chat is None
            else f"`chat` of {kind.__qualname__} is not `async def`"
        )
        raise ConfigError(
            [Problem("backend", told, "give it `async def chat(self, request)`, which returns the reply's text")]
        )
    name = f"{kind.__module__}.{kind.__qualname__}"
    _given[name] = backend
    try:
        yield name
    finally:
        del _given[name]


def connect(pool: dict[str, Any], runtime: dict[str, Any]) -> Backend:
    """Return the backend that the caller registered with `given`, under the name that `pool["backend"]` holds.

    Raises ConfigError if no backend of this name is registered in this process.
    """
    settings = PoolSettings.model_validate(pool)
    if settings.backend not in _given:
        remedy = "run it again from Python: gra.synthesize(..., backend=...)"
        raise ConfigError(
            [
                Problem(
                    "pool.backend", f"{settings.backend} is a Python object, and this process does not have it", remedy
                )
            ]
        )
    names = [model.name for model in settings.models]
    return _Given(_given[settings.backend], names, settings.simulated, ModelRuntime.model_validate(runtime))


class _Given(Backend):
    """Wraps the caller's object as a `Backend`: makes a `Reply` of what its `chat` returns, and retries calls that
    fail. If the object is an async context manager, it is entered and exited, too."""

    def __init__(self, backend: Any, models: Sequence[str], simulated: bool, runtime: ModelRuntime):
        self._backend, self.models, self.simulated = backend, tuple(models), simulated
        self._retrying = Retrying(self._once, type(backend).__qualname__, runtime)
        self._open = AsyncExitStack()

    @property
    def capabilities(self) -> Capabilities:
        found = getattr(self._backend, "capabilities", None)
        theirs = found if isinstance(found, Capabilities) else Capabilities()

        def drain() -> None:
            self._retrying.drain()
            theirs.drain()

        return replace(theirs, drain=drain)

    async def __aenter__(self) -> Self:
        if hasattr(self._backend, "__aenter__"):
            await self._open.enter_async_context(self._backend)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.__aexit__(kind, value, trace)

    async def chat(self, request: Request) -> Reply:
        """Call the method `chat` of the caller's object, and return the reply. A failed call is retried.

        If a call fails and the model's last answer to any call was too long ago, ServerError is raised (retrying.py).
        """
        return await self._retrying.chat(request)

    async def _once(self, request: Request) -> Reply:
        said = await self._backend.chat(request)
        return said if isinstance(said, Reply) else Reply(str(said))
