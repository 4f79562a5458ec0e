"""The interface of a driver. A driver runs exchanges, which are generators that yield calls and receive replies, until
each returns its result. There are two drivers: the engine, which calls models, and `Replies` (re-gating), which takes
the replies from the journal of a finished run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Protocol, TypeVar

from gra.synthesis.committee.calls import Call, Exchange

T = TypeVar("T")


class Driver(Protocol):
    """Runs exchanges and yields their results. An exchange is a generator that yields calls and receives replies. The
    attributes and methods are described in `engine.Engine`."""

    @property
    def concurrency(self) -> int: ...

    def stream(
        self,
        exchanges: Iterator[Exchange[T]],
        allowed: Callable[[int], int] | None = None,
        later: Callable[[], Call | None] | None = None,
    ) -> AsyncGenerator[T, None]: ...

    async def settle(self) -> None: ...
