"""Turns of models: one loaded at a time, the one with most calls waiting, no turn ended too early, nothing lost at the end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gra.errors import Interrupted, ServerError
from gra.models.base import Backend, Reply, Request
from gra.models.pool import ModelSettings
from gra.models.time_sharing import scheduler
from gra.models.time_sharing.scheduler import Phased

T = TypeVar("T")


class Memory(Backend):
    """A loader, and what it loads: keeps account of turns, and of whatever must never be."""

    simulated = False

    def __init__(self, models: str, seconds: float = 0.0, refuse: str = ""):
        self.models, self._seconds, self._refuse = tuple(models), seconds, refuse
        self.turns: list[str] = []
        self.loaded: str | None = None
        self.in_flight = self.peak = 0
        self.asked: Counter[str] = Counter()

    @asynccontextmanager
    async def load(self, model: ModelSettings) -> AsyncIterator[Backend]:
        assert self.loaded is None
        if model.name in self._refuse:
            raise ServerError(f"no weights of {model.name}")
        await asyncio.sleep(self._seconds)
        self.loaded = model.name
        self.turns.append(model.name)
        try:
            yield self
        finally:
            self.loaded = None

    def gpus(self, model: ModelSettings) -> int:
        return 2 if model.name == "a" else 0

    async def __aenter__(self) -> Memory:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def chat(self, request: Request) -> Reply:
        assert request.model == self.loaded
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        self.asked[request.model] += 1
        try:
            await asyncio.sleep(random.random() * self._seconds)
            assert request.model == self.loaded
        finally:
            self.in_flight -= 1
        return Reply(f"{request.model}{request.seed}")


def pool(memory: Memory, per_model: int = 4, folder: Path | None = None) -> Phased:
    specs = [ModelSettings(name=name) for name in memory.models]
    return Phased(specs, memory, per_model=per_model, simulated=False, folder=folder)


def ask(model: str, seed: int = 0) -> Request:
    return Request(model, ({"role": "user", "content": "x"},), 0.0, 1.0, 5, seed)


async def chain(backend: Phased, models: str) -> list[str]:
    """A sample that asks one model after the other, as protocols do."""
    return [(await backend.chat(ask(model, i))).text for i, model in enumerate(models)]


async def together(backend: Phased, *jobs: Coroutine[Any, Any, T]) -> list[T]:
    async with backend:
        return await asyncio.gather(*jobs)


def test_most_pending_first_and_a_turn_lasts_as_long_as_calls_come() -> None:
    memory = Memory("abc", seconds=0.01)
    backend = pool(memory)
    chains = ["bbba", "bba", "ba", "ca", "aaaa"]
    replies = asyncio.run(together(backend, *(chain(backend, c) for c in chains)))
    assert replies == [[f"{model}{i}" for i, model in enumerate(c)] for c in chains]
    assert memory.turns[0] == "b"  # three wait for it; it keeps its turn for what its own replies bring
    assert memory.turns == ["b", "a", "c", "a"]
    assert backend.account()["loads"] == {"a": 2, "b": 1, "c": 1}
    assert memory.peak <= 4
    assert backend.queued(ask("c", 0)) > 0.05  # two turns passed before its own
    assert backend.queued(ask("c", 0)) == 0.0
    assert (backend.gpu_seconds() or 0) > 0


def test_a_turn_waits_for_samples_that_take_a_moment_to_ask_again() -> None:
    """Between a reply and the next call of the same sample other work may come first: no reason for a swap."""
    memory = Memory("ab")
    backend = pool(memory)

    async def thinks(models: str) -> None:
        for model in models:
            await backend.chat(ask(model))
            await asyncio.sleep(scheduler.LULL_S / 3)

    asyncio.run(together(backend, thinks("aaaa"), chain(backend, "b")))
    assert sorted(memory.turns) == ["a", "b"]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text("abc", min_size=1, max_size=6), min_size=1, max_size=25), st.integers(1, 5))
def test_everyone_is_answered_one_model_at_a_time(chains: list[str], per_model: int) -> None:
    memory = Memory("abc")
    backend = pool(memory, per_model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scheduler, "LULL_S", 0.001)
        replies = asyncio.run(together(backend, *(chain(backend, c) for c in chains)))
    assert replies == [[f"{model}{i}" for i, model in enumerate(c)] for c in chains]
    assert memory.asked == Counter("".join(chains))
    assert memory.peak <= per_model
    assert all(one != other for one, other in zip(memory.turns, memory.turns[1:], strict=False))  # a swap is a swap
    assert len(memory.turns) <= len("".join(chains))


def test_callers_that_leave_are_forgotten() -> None:
    async def run() -> None:
        memory = Memory("ab", seconds=0.05)
        backend = pool(memory, per_model=2)
        async with backend:
            calls = [asyncio.create_task(backend.chat(ask("a", i))) for i in range(6)]
            calls += [asyncio.create_task(backend.chat(ask("b", i))) for i in range(2)]
            await asyncio.sleep(0.12)  # two of the first six are under way
            for call in calls[:7]:
                call.cancel()
            assert (await calls[7]).text == "b1"
            assert memory.turns == ["a", "b"]
            assert memory.asked["b"] == 1
            assert memory.in_flight == 0
        assert memory.loaded is None

    asyncio.run(asyncio.wait_for(run(), 10))


def test_a_model_that_cannot_be_loaded_is_told_to_all() -> None:
    async def run() -> None:
        backend = pool(Memory("ab", refuse="b"))
        async with backend:
            calls = [asyncio.create_task(backend.chat(ask(model))) for model in "abbb"]
            for call in calls[1:]:
                with pytest.raises(ServerError, match="no weights of b"):
                    await call
            with pytest.raises(ServerError, match="no weights of b"):
                await backend.chat(ask("a"))
            await asyncio.gather(calls[0], return_exceptions=True)

    asyncio.run(asyncio.wait_for(run(), 10))


def test_draining_lets_what_is_in_flight_end_and_starts_no_more() -> None:
    async def run() -> None:
        memory = Memory("ab", seconds=1.0)
        backend = pool(memory, per_model=3)
        async with backend:
            calls = [asyncio.create_task(backend.chat(ask("a", i))) for i in range(5)]
            other = asyncio.create_task(backend.chat(ask("b")))
            while memory.in_flight < 3:
                await asyncio.sleep(0.01)
            backend.drain()
            results = await asyncio.gather(*calls, other, return_exceptions=True)
        assert [isinstance(r, Reply) for r in results[:3]] == [True] * 3
        assert [isinstance(r, Interrupted) for r in results[3:]] == [True] * 3
        assert memory.turns == ["a"]

    asyncio.run(asyncio.wait_for(run(), 10))


def test_closing_unloads_and_cancels(tmp_path: Path) -> None:
    async def run() -> None:
        memory = Memory("ab", seconds=0.2)
        memory.simulated = True
        backend = pool(memory, folder=tmp_path)
        async with backend:
            calls = [asyncio.create_task(backend.chat(ask(model))) for model in "aab"]
            while memory.in_flight < 2:
                await asyncio.sleep(0.01)
        assert memory.loaded is None
        await asyncio.gather(*calls, return_exceptions=True)
        assert calls[2].cancelled()
        assert backend.simulated
        assert pool(Memory("ab"), folder=tmp_path).simulated  # known on the next start too, with nothing loaded yet

    asyncio.run(asyncio.wait_for(run(), 10))
