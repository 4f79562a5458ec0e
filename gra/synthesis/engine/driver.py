"""The interface of the two drivers, which run exchanges (generators that yield calls and receive replies) to their
results: the engine, which calls models, and `Replies` (re-gating), which reads the journal of a finished run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Protocol, TypeVar

from gra.synthesis.committee.calls import Call, Exchange

T = TypeVar("T")


class Driver(Protocol):
    """Runs exchanges and yields their results. For the meaning of each member see `engine.Engine`."""

    @property
    def concurrency(self) -> int: ...

    def stream(
        self,
        exchanges: Iterator[Exchange[T]],
        allowed: Callable[[int], int] | None = None,
        later: Callable[[], Call | None] | None = None,
    ) -> AsyncGenerator[T, None]: ...

    async def settle(self) -> None: ...
