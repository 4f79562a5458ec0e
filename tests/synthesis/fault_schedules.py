"""Faults by the thousand: whole syntheses on a virtual clock, with servers, disk and process failing by seeded schedules.

    python tests/synthesis/fault_schedules.py --schedules 2000     # about 5 minutes on one core; ends with 1 where one fails
    python tests/synthesis/fault_schedules.py --seed 17            # one schedule again, printed with what happened in each life
    PYTHONPATH=OTHER_TREE python tests/synthesis/fault_schedules.py --schedules 200      # another version of gra

The rounds, the engine, the journal (a real SQLite file), the backend with its retries and its HTTP client are the project's own;
time (virtual_time.py), the servers' end of each connection (virtual_servers.py) and the system's answers to writes are not. A
schedule is a life after another of the same run: each but the last is ended by a kill between two callbacks, by a loss of power
(only what was synced is left), or by a write or commit that fails. The servers outlive them all.

What must hold, whatever the schedule:
- the outcomes, word for word and in order, are those of a calm run with the same poison requests;
- a reply that was recorded is never asked for again (after a loss of power: one that was recorded `SAFE` seconds before);
- servers see no more requests again whose reply they had delivered than calls were in flight at the ends of lives, or cancelled;
- no run dies while its servers are healthy, and no call waits longer than `STALL` (a poison request: `POISON_STALL`) beside what
  its servers were out of reach;
- no more calls are at the servers at once than were asked for; open tasks, and replies that wait for their commit, stay below
  `TASKS` and `PENDING` times that number.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fault_book import Book, Watched, WatchedJournal
from scripted import MODELS
from virtual_servers import POISONS, Servers, Weather
from virtual_time import InlineThreads, Killed, Stuck, VirtualLoop, clock_of, end, jitter_of

from gra.errors import ServerError, StoreError
from gra.models.openai.backend import connect
from gra.synthesis.committee.calls import Rules
from gra.synthesis.committee.records import Outcome, Seed
from gra.synthesis.dedup.pool import TargetPool, Unique
from gra.synthesis.engine import journal as journal_module
from gra.synthesis.engine.engine import Engine
from gra.synthesis.rounds import Committee
from gra.synthesis.settings import SynthesisSettings

STALL, POISON_STALL = 10.0, 120.0  # seconds of a call, times of trouble apart
TROUBLED = 35.0  # seconds more in a schedule with times of trouble: probes and backoffs that outlast them
SAFE = 2 * journal_module.INTERVAL + 0.01
TASKS, PENDING = 10, 10
SEEDS = tuple(Seed(f"seed-{i}", f"seed instruction number {i}", f"answer {i}") for i in range(4))
SETTINGS = SynthesisSettings(rounds=2, samples_per_round=2, max_proposals=60, dedup={"model": "hash"}, parse_retries=1)
_ATTEMPTS = re.compile(r"after \d+ attempts?: [^;\"']*")


@dataclass(frozen=True)
class End:
    """How a life ends: `kind` kill | power (at a turn of the loop), write | short (an append to the journal), commit (a group)."""

    kind: str
    at: int


@dataclass(frozen=True)
class Schedule:
    """One run's fate, drawn from its seed."""

    seed: int
    weather: Weather
    concurrency: int
    give_up_after_s: float
    lives: tuple[End, ...]


def draw(seed: int) -> Schedule:
    """The schedule of `seed`: calm in some respects, so that each fault is also met alone."""
    rng = random.Random(seed)

    def maybe(share: float, value: Any, other: Any) -> Any:
        return value if rng.random() < share else other

    urls = maybe(0.3, 2, 1)
    begin = rng.uniform(0.5, 12)
    weather = Weather(
        seed=seed,
        urls=urls,
        latency=rng.choice((0.02, 0.2, 0.2, 1.0)),
        tail=maybe(0.4, rng.uniform(0, 0.1), 0.0),
        tail_x=rng.choice((3, 10)),
        resets=maybe(0.4, rng.uniform(0, 0.05), 0.0),
        poison=maybe(0.5, rng.choice(POISONS), ""),
        every=rng.choice((10, 40)),
        storms=maybe(0.25, ((begin, begin + rng.uniform(0.5, 8)),), ()),
        retry_after=rng.random() < 0.5,
        outages=maybe(0.25, tuple((s + 1, begin + s, begin + s + rng.uniform(0.5, 12)) for s in range(urls)), ()),
    )
    kinds = ("kill", "kill", "kill", "power", "write", "short", "commit")
    lives = []
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        kind = rng.choice(kinds)
        most = {"kill": 900, "power": 900, "write": 90, "short": 90, "commit": 12}[kind]
        lives.append(End(kind, rng.randint(1, most)))
    return Schedule(seed, weather, rng.choice((1, 4, 8, 16)), rng.choice((30.0, 600.0)), tuple(lives))


class InlineTarget(TargetPool):
    """The deduplication in the loop's own thread."""

    async def unique(self, scores: Any) -> Unique:  # type: ignore[override]
        await asyncio.sleep(0.01)
        return TargetPool.unique(self, scores)


class Silent:
    def stage(self, name: str, total: int | None) -> None: ...
    def advance(self, outcome: Outcome | None) -> None: ...
    def heard(self, calls: Any) -> None: ...
    def deduplicated(self, distinct: int, duplicates: int) -> None: ...


@contextmanager
def failing_writes(last: End | None) -> Iterator[None]:
    """The append number `at` to the files beside the database fails, or takes half of what it is given."""
    tail = sys.modules.get("gra.synthesis.engine.tail")
    if tail is None or last is None or last.kind not in ("write", "short"):
        yield
        return
    written, whole = 0, tail._write

    def write(file: int, data: bytes) -> int:
        nonlocal written
        written += 1
        if written != last.at:
            return whole(file, data)
        if last.kind == "short":
            return whole(file, data[: len(data) // 2])
        raise OSError(5, "Input/output error")

    tail._write = write
    try:
        yield
    finally:
        tail._write = whole


async def synthesis(schedule: Schedule, book: Book, loop: VirtualLoop, folder: Path, last: End | None) -> str:
    """One life of the run. Returns the hash of all that it found."""
    pool = {
        "_target_": "gra.models.openai.backend.connect",
        "models": list(MODELS),
        "base_url": [f"http://virtual:{port}/v1" for port in range(1, schedule.weather.urls + 1)],
    }
    runtime = {"give_up_after_s": schedule.give_up_after_s, "startup_wait_s": 120}
    failing = last.at if last is not None and last.kind == "commit" else None
    with WatchedJournal(folder / "journal.sqlite", book, loop, failing) as journal:
        async with connect(pool, runtime) as backend:
            engine = Engine(Watched(backend, book, loop), journal, schedule.concurrency)  # type: ignore[arg-type]
            target = InlineTarget(SETTINGS.dedup, {})
            committee = Committee(engine, target, Rules(0, SETTINGS), list(MODELS), Silent(), folder / "spool")
            result = await committee.run(SEEDS)
    found = repr((list(result.kept), list(result.rejected), result.short, result.seeds))
    result.remove()
    return hashlib.sha256(_ATTEMPTS.sub("after its retries", found).encode()).hexdigest()


def live(schedule: Schedule, book: Book, now: float, folder: Path, last: End | None) -> tuple[str | None, VirtualLoop]:
    """One life, from `now` on, in `folder`. Returns what it found, or None where it was ended, and its loop."""
    kill_at = last.at if last is not None and last.kind in ("kill", "power") else None
    book.open = True
    loop = VirtualLoop(now, book.servers, kill_at)
    loop.watch = lambda: setattr(book, "most_tasks", max(book.most_tasks, len(asyncio.all_tasks(loop))))
    book.servers.set_timers(loop)
    found: str | None = None
    told = f"{now:8.2f}  "
    real, journal_module.threading = journal_module.threading, InlineThreads(loop)  # type: ignore[attr-defined]
    try:
        with clock_of(loop), jitter_of(schedule.seed, "gra.models."), failing_writes(last):
            try:
                found = loop.run_until_complete(synthesis(schedule, book, loop, folder, last))
                told += "ended"
            except Killed:
                book.may_repeat += len(book.in_flight)
                told += f"{last.kind if last else ''} at turn {loop.turns} with {len(book.in_flight)} in flight"
                survive(folder, last, schedule.seed)
                for key, at in list(book.acknowledged.items()):
                    if last is not None and last.kind == "power" and at > loop.now - SAFE:
                        del book.acknowledged[key]
                        book.may_repeat += 1
            except StoreError as error:
                told += f"StoreError: {str(error).partition(': ')[2][:60]}"
                survive(folder, last, schedule.seed)
            except ServerError as error:
                told += f"ServerError: {error}"
                book.fault(f"the run died at {loop.now:.2f}: {error}")
            except Stuck as error:
                book.fault(f"stuck at {loop.now:.2f}: {error}")
            told += f" at {loop.now:.2f}, {len(book.acknowledged)} replies recorded"
            book.open = False
            end(loop)
    finally:
        journal_module.threading = real  # type: ignore[attr-defined]
    book.in_flight.clear()
    book.story.append(told)
    return found, loop


def survive(folder: Path, last: End | None, seed: int) -> None:
    """Put aside what the kernel, or after a loss of power the disk, holds at this moment: folder/kept."""
    kept = folder / "kept"
    kept.mkdir()
    for path in folder.glob("journal.sqlite*"):
        if path.name.endswith("-shm"):
            continue
        data = path.read_bytes()
        if (
            last is not None and last.kind == "power" and "-tail" in path.name
        ):  # never synced: any part of it may be there
            data = data[: random.Random(seed).randint(0, len(data))]
        (kept / path.name).write_bytes(data)


@dataclass
class Report:
    """How one schedule ended: `faults` is empty where all that must hold did."""

    schedule: Schedule
    found: str | None
    faults: list[str]
    book: Book
    turns: int


def play(schedule: Schedule, calm: str | None, root: Path) -> Report:
    """Run the schedule to its end below `root` and compare with the `calm` run's hash (None: nothing to compare with)."""
    book = Book(Servers(schedule.weather))
    folder, now, found, turns = root / "0", 0.0, None, 0
    folder.mkdir(parents=True)
    for number, last in enumerate((*schedule.lives, None), 1):
        found, loop = live(schedule, book, now, folder, last)
        turns = loop.turns
        if found is not None or book.faults:
            break
        now = loop.now + 2.0
        kept = folder / "kept"
        folder = root / str(number)
        kept.rename(folder)
    shutil.rmtree(root)
    troubled = bool(schedule.weather.storms or schedule.weather.outages)
    if calm is not None and found is not None and found != calm:
        book.fault("the outcomes are not those of the calm run")
    if book.servers.repeated > book.may_repeat:
        book.fault(
            f"{book.servers.repeated} delivered replies were asked for again; {book.may_repeat} calls were in flight"
        )
    if book.servers.peak > schedule.concurrency:
        book.fault(f"{book.servers.peak} calls at the servers at once, {schedule.concurrency} were allowed")
    if book.slowest > STALL + TROUBLED * troubled:
        book.fault(f"a call that was answered took {book.slowest:.1f} s")
    if book.slowest_poison > POISON_STALL + TROUBLED * troubled:
        book.fault(f"a call that fails each time took {book.slowest_poison:.1f} s")
    if book.most_tasks > TASKS * schedule.concurrency + 20:
        book.fault(f"{book.most_tasks} tasks with {schedule.concurrency} calls in flight")
    if book.most_pending > PENDING * schedule.concurrency + 20:
        book.fault(f"{book.most_pending} replies wait for their commit")
    return Report(schedule, found, book.faults, book, turns)


class Calm:
    """The calm runs, one for each kind of poison, made when first asked for."""

    def __init__(self, root: Path):
        self._root = root
        self._known: dict[tuple[str, int], str] = {}

    def of(self, weather: Weather) -> str:
        key = (weather.poison, weather.every if weather.poison else 0)
        if key not in self._known:
            schedule = Schedule(0, Weather(poison=weather.poison, every=weather.every), 4, 600.0, ())
            report = play(schedule, None, self._root / "calm")
            self._known[key] = report.found or f"none: {report.faults}"
        return self._known[key]


@contextmanager
def playground() -> Iterator[Path]:
    """A folder, in memory where that is possible: no disk is waited for."""
    logging.disable(logging.CRITICAL)
    shared = Path("/dev/shm")
    root = Path(tempfile.mkdtemp(prefix="gra-faults-", dir=shared if os.access(shared, os.W_OK) else None))
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)
        logging.disable(logging.NOTSET)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="play this one alone and print all of it")
    options = parser.parse_args()
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.schedules)
    failed: dict[str, list[int]] = {}
    begun, slowest, poison, lives = time.process_time(), 0.0, 0.0, 0
    with playground() as root:
        calm = Calm(root)
        for seed in seeds:
            schedule = draw(seed)
            report = play(schedule, calm.of(schedule.weather), root / "run")
            slowest, poison = max(slowest, report.book.slowest), max(poison, report.book.slowest_poison)
            lives += len(report.book.story)
            for fault in report.faults[:1]:
                failed.setdefault(re.sub(r"[\d.]+", "N", fault)[:90], []).append(seed)
            if options.seed is not None:
                print(schedule, *report.book.story, *(f"FAILED: {fault}" for fault in report.faults), sep="\n")
    took = time.process_time() - begun
    print(
        f"{len(seeds)} schedules, {lives} lives, {took:.0f} s of CPU; slowest call {slowest:.1f} s, poison {poison:.1f} s"
    )
    for fault, where in sorted(failed.items(), key=lambda item: -len(item[1])):
        print(f"{len(where):5} x {fault}   (seeds {', '.join(map(str, where[:5]))})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
