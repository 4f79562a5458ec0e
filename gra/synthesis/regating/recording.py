"""Replays a finished synthesis from its journal, so that its proposals can be decided again with other settings. No
model is called.

The replay runs the code of a synthesis, but takes every reply from the journal. A missing reply, or a resulting data
set that differs from the recorded one, is an error. So the arms start from exactly the proposals that were recorded.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from gra.errors import StoreError
from gra.models.base import Reply
from gra.models.openai.choices import from_stored
from gra.synthesis.committee.calls import Call, Exchange
from gra.synthesis.committee.records import CallRecord, Outcome, Record, Seed
from gra.synthesis.dedup.pool import TargetPool, Unique
from gra.synthesis.engine.engine import Traffic
from gra.synthesis.engine.journal_read import connect_other
from gra.synthesis.engine.journal_rows import FIND, crc
from gra.synthesis.engine.spool import Spool
from gra.synthesis.rounds import Committee, Synthesis

T = TypeVar("T")


class NotRecorded(Exception):
    """Raised for a call whose reply is not in the journal."""

    def __init__(self, call: Call):
        super().__init__(f"{call.sample}: the call of {call.step} by {call.role} ({call.request.model})")
        self.call = call


class Replies:
    """Stands in for the engine (which sends model calls) when a finished run is replayed. All replies come from the
    journal of the run. Exchanges (Python generators that yield model calls) are run one after the other.

    If a reply is missing, `NotRecorded` is raised inside the exchange, which can handle it. Raises StoreError if the
    journal cannot be read. Call `close` at the end.
    """

    concurrency = 1

    def __init__(self, journal: Path):
        connection = connect_other(journal) if journal.is_file() else None
        if connection is None:
            raise StoreError(
                f"{journal}: not the journal of a synthesis\n    -> give a data folder with its journal.sqlite"
            )
        self._path, self._connection, self.traffic = journal, connection, Traffic()

    async def stream(
        self,
        exchanges: Iterator[Exchange[T]],
        allowed: Callable[[int], int] | None = None,  # noqa: ARG002 - nothing is started ahead
        later: Callable[[], Call | None] | None = None,  # noqa: ARG002
    ) -> AsyncGenerator[T, None]:
        """Yield the results of the exchanges, in order."""
        for exchange in exchanges:
            yield self._drive(exchange)

    async def settle(self) -> None:
        """Do nothing, because nothing is in flight."""

    def close(self) -> None:
        """Close the journal."""
        self._connection.close()

    def _drive(self, exchange: Exchange[T]) -> T:
        try:
            calls = next(exchange)
            while True:
                missing: Call | None = None
                replies = []
                for call in calls:
                    reply = self._find(call)
                    if reply is None:
                        missing = call
                        break
                    replies.append(reply)
                calls = exchange.send(replies) if missing is None else exchange.throw(NotRecorded(missing))
        except StopIteration as stop:
            value: T = stop.value
            return value
        finally:
            exchange.close()

    def _find(self, call: Call) -> Reply | None:
        try:
            row = self._connection.execute(FIND, (call.request.key,)).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"journal {self._path}: {error}") from error
        if row is None or crc(*row[:-1]) != row[-1]:
            return None
        self.traffic.replayed += 1
        return from_stored(call.request, row[:-1])


class Silent:
    """A listener that shows nothing."""

    def stage(self, name: str, total: int | None) -> None: ...
    def advance(self, outcome: Outcome | None) -> None: ...
    def heard(self, calls: Sequence[CallRecord]) -> None: ...
    def deduplicated(self, distinct: int, duplicates: int) -> None: ...


class InThread:
    """Wraps a `TargetPool` (the deduplication) of this process, and runs its search for duplicates in a thread. So the
    search does not block the event loop."""

    def __init__(self, pool: TargetPool):
        self._pool = pool
        self.prepare, self.base, self.add, self.commit = pool.prepare, pool.base, pool.add, pool.commit

    async def unique(self, scores: Sequence[float | None]) -> Unique:
        """Run `TargetPool.unique` in a thread and return its result."""
        return await asyncio.to_thread(self._pool.unique, scores)


@dataclass
class Recording:
    """What the replay of a recorded run collects. `proposals`: for each round, the outcomes of its proposals before
    decontamination and deduplication. `added`: for each round, the records that the round added to the pool of records,
    from which later prompts take examples. `result`: the kept and dropped samples."""

    proposals: list[Spool] = field(default_factory=list)
    added: list[list[Record]] = field(default_factory=list)
    result: Synthesis | None = None


class Recorder(Committee):
    """Runs the rounds of the recorded run again, and stores the outcome of every proposal in `recording`."""

    def __init__(self, *arguments: Any, recording: Recording, **options: Any):
        super().__init__(*arguments, **options)
        self._recording = recording

    async def record(self, seeds: Sequence[Seed]) -> None:
        """Replay the run. Raises StoreError if the journal lacks a call. The error names the first such call."""
        try:
            self._recording.result = await self.run(seeds)
        except NotRecorded as missing:
            raise StoreError(
                f"{missing} is not in the journal: the seeds, prompts or code have changed since the recorded run\n"
                "    -> re-gate with the files and the version that made the data, or run the same synthesis again: its "
                "recorded calls are reused"
            ) from missing

    async def _round(self, number: int, domains: Any, result: Synthesis) -> list[Record]:
        self._recording.proposals.append(Spool(self._folder / f"recorded-{number}"))
        records = await super()._round(number, domains, result)
        self._recording.added.append(records)
        return records

    async def _filtered(self, outcome: Outcome) -> Outcome:
        self._recording.proposals[-1].add(outcome)
        return await super()._filtered(outcome)


def same_rows(folder: Path, result: Synthesis) -> bool:
    """Return whether the `result` of the replay has the same kept and dropped samples as the data folder, in the same
    order."""
    import pyarrow.parquet as pq

    names = (("data/train.parquet", result.kept), ("rejected.parquet", result.rejected))
    for name, outcomes in names:
        with closing(pq.ParquetFile(folder / name)) as file:
            rows = [
                (row["id"], row["response"], row["summary"], row["mean"])
                for batch in file.iter_batches(columns=["id", "response", "summary", "mean"])
                for row in batch.to_pylist()
            ]
        if rows != [(o.id, o.response, o.summary, o.mean) for o in outcomes]:
            return False
    return True
