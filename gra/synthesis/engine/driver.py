"""What drives exchanges to their results: the engine, which asks models, or the journal of a finished run alone (regating)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Protocol, TypeVar

from gra.synthesis.committee.calls import Call, Exchange

T = TypeVar("T")


class Driver(Protocol):
    """See `engine.Engine`."""

    @property
    def concurrency(self) -> int: ...

    def stream(
        self,
        exchanges: Iterator[Exchange[T]],
        allowed: Callable[[int], int] | None = None,
        later: Callable[[], Call | None] | None = None,
    ) -> AsyncGenerator[T, None]: ...

    async def settle(self) -> None: ...
