"""An event loop without waiting: its clock jumps to the next timer when nothing else is due, and it can be killed between any two
callbacks, so at any await. One callback a turn, no threads, no sockets: the same program takes the same turns each time."""

from __future__ import annotations

import asyncio
import heapq
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any


class Killed(BaseException):
    """The process ends here, between two callbacks."""


class Stuck(AssertionError):
    """Nothing is due and nothing ever will be: the program waits for itself."""


class VirtualLoop(asyncio.BaseEventLoop):
    """`now`: where its clock starts, seconds; `kill_at`: the turn that raises Killed; `network`: who answers connections."""

    def __init__(self, now: float, network: Any, kill_at: int | None = None):
        super().__init__()
        self.now, self.network, self.kill_at = now, network, kill_at
        self.turns = self._cancelled = 0
        self.watch: Callable[[], None] | None = None  # called every 64 turns
        self.set_exception_handler(lambda *_: None)  # of tasks that a kill leaves behind

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        self.turns += 1
        if self.turns == self.kill_at:
            raise Killed
        if self.watch is not None and self.turns % 64 == 0:
            self.watch()
        while not self._ready:
            if not self._scheduled:
                raise Stuck("nothing is due, and the run has not ended")
            timer = heapq.heappop(self._scheduled)
            timer._scheduled = False
            if not timer._cancelled:
                self.now = max(self.now, timer._when)
                self._ready.append(timer)
        handle = self._ready.popleft()
        if not handle._cancelled:
            handle._run()

    def _timer_handle_cancelled(self, handle: Any) -> None:  # noqa: ARG002
        self._cancelled += 1
        if self._cancelled > 200:  # a call's limit of minutes, cancelled as its reply comes
            self._cancelled = 0
            self._scheduled[:] = [timer for timer in self._scheduled if not timer._cancelled]
            heapq.heapify(self._scheduled)

    def _process_events(self, events: Any) -> None: ...

    def _write_to_self(self) -> None: ...

    async def create_connection(self, factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        return await self.network.connect(self, factory, host, port)

    def run_in_executor(self, *_: Any) -> Any:
        raise AssertionError("no threads here")


@contextmanager
def clock_of(loop: VirtualLoop) -> Iterator[None]:
    """time.monotonic and time.time tell the loop's time."""
    real = time.monotonic, time.time
    time.monotonic, time.time = loop.time, lambda: 1.7e9 + loop.now
    try:
        yield
    finally:
        time.monotonic, time.time = real


@contextmanager
def jitter_of(seed: int, modules: str) -> Iterator[None]:
    """Draws that are seeded by nobody (jitter) are repeatable: those of module-level generators in `modules` (a prefix), and of
    those made meanwhile."""

    class Seeded(random.Random):
        def __init__(self, x: Any = None):
            super().__init__(seed if x is None else x)

    for module in [module for name, module in sys.modules.items() if name.startswith(modules)]:
        for value in vars(module).values():
            if isinstance(value, random.Random):
                value.seed(seed)
    real, random.Random = random.Random, Seeded  # type: ignore[misc]
    try:
        yield
    finally:
        random.Random = real  # type: ignore[misc]


def end(loop: VirtualLoop) -> None:
    """Take down what a killed run left in memory; its files must have been put in safety."""
    loop.kill_at = None
    tasks = asyncio.all_tasks(loop)

    async def all_ended() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    try:
        ending = loop.create_task(all_ended())
        while not ending.done():
            with suppress(
                RuntimeError
            ):  # a run killed just as it ended left its own stop in the queue, which stops this one
                loop.run_until_complete(ending)
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


class _Paused(BaseException):
    """A thread's turn is over."""


class InlineThreads:
    """Stands for the module `threading` where a thread loops `while True: event.wait(s); work`: each round is a timer of the loop.
    One object a journal."""

    Lock = staticmethod(threading.Lock)

    def __init__(self, loop: VirtualLoop):
        self._loop, self._rounds, self._set = loop, 0, False

    def Event(self) -> InlineThreads:
        return self

    def wait(self, seconds: float) -> bool:
        self._seconds = seconds
        if self._set:
            return True
        if self._rounds == 0:
            raise _Paused
        self._rounds -= 1
        return False

    def set(self) -> None:
        self._set = True

    def Thread(self, target: Callable[[], None], **_: Any) -> InlineThreads:
        self._target, self._ended = target, False
        return self

    def start(self) -> None:
        self._turn()

    def join(self) -> None:
        if not self._ended:
            self._turn()

    def _turn(self) -> None:
        if self._ended:
            return
        try:
            self._target()
        except _Paused:
            self._rounds = 1
            self._loop.call_later(self._seconds, self._turn)
        else:
            self._ended = True
