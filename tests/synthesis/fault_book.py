"""What a schedule of faults notes down: the calls, the recorded replies, and a journal whose commits may fail."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from virtual_servers import Servers
from virtual_time import VirtualLoop

from gra.errors import StoreError
from gra.models.base import Reply, Request
from gra.synthesis.committee.calls import Call
from gra.synthesis.engine.journal import Journal


@dataclass
class Book:
    """What is known of a run over all its lives, beside what it keeps itself."""

    servers: Servers
    acknowledged: dict[str, float] = field(default_factory=dict)  # key -> when its reply was recorded
    in_flight: dict[str, float] = field(default_factory=dict)
    open: bool = True  # false: what is still heard is of a run that was killed
    may_repeat: int = 0  # calls that were in flight when a life ended, or cancelled
    most_tasks: int = 0
    most_pending: int = 0
    slowest: float = 0.0
    slowest_poison: float = 0.0
    story: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def fault(self, what: str) -> None:
        if len(self.faults) < 5:
            self.faults.append(what)


class Watched:
    """The backend, each call of which goes into the book."""

    def __init__(self, backend: Any, book: Book, loop: VirtualLoop):
        self._backend, self._book, self._loop = backend, book, loop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def chat(self, request: Request) -> Reply:
        book, begun = self._book, self._loop.now
        if request.key in book.acknowledged:
            book.fault(f"asked again: recorded at {book.acknowledged[request.key]:.3f}, asked at {begun:.3f}")
        book.in_flight[request.key] = begun
        answered = False
        try:
            reply: Reply = await self._backend.chat(request)
            answered = True
        finally:
            if book.open:
                book.in_flight.pop(request.key, None)
                book.may_repeat += not answered
        took = self._loop.now - begun - book.servers.troubled(begun, self._loop.now)
        if reply.error is not None:
            book.slowest_poison = max(book.slowest_poison, took)
        else:
            book.slowest = max(book.slowest, took)
        return reply


class WatchedJournal(Journal):
    """The journal, whose replies go into the book once they are recorded, and whose commits may fail."""

    def __init__(self, path: Path, book: Book, loop: VirtualLoop, failing_commit: int | None):
        super().__init__(path)
        self.book, self.loop, self.failing_commit = book, loop, failing_commit

    def __enter__(self) -> Any:
        super().__enter__()
        self._writer = _Writer(self._writer, self.failing_commit)  # type: ignore[assignment]
        return self

    def record(self, ask: Call, reply: Reply, seconds: float) -> None:
        try:
            super().record(ask, reply, seconds)
        except StoreError:
            self.book.may_repeat += 1
            raise
        if self.book.open:
            self.book.acknowledged[ask.request.key] = self.loop.now
        self.book.most_pending = max(self.book.most_pending, len(self._pending))


class _Writer:
    """A connection whose n-th group fails as it is committed."""

    def __init__(self, connection: sqlite3.Connection, failing: int | None):
        self._connection, self._failing, self._groups = connection, failing, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def __enter__(self) -> None:
        self._connection.__enter__()
        self._groups += 1

    def __exit__(self, *fault: Any) -> None:
        if self._groups == self._failing:
            self._connection.rollback()
            raise sqlite3.OperationalError("disk I/O error")
        self._connection.__exit__(*fault)
