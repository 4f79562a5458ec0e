"""Loads one model at a time, for machines on which only one fits: conf/pool/phased_*.yaml. The models take turns, and
calls to a model wait for its turn.

The rules:
- The loaded model keeps its turn while calls to it arrive, because a reply often leads at once to another call to the
  same model (keywords, then instruction). A turn ends only when no call is in flight and no call to this model waits.
- Before a turn ends, the scheduler waits until no new call has arrived for LULL_S seconds in which the event loop was
  free to run all tasks. Then it assumes that all proposals in progress wait for other models. If no call waits for any
  model, the model stays loaded.
- The next model is the one with the most waiting calls; of several such models, the first in the pool's order.

`runtime.concurrency` sets the number of proposals in progress. The larger it is, the less often models are loaded: use
thousands. A waiting proposal takes about 8 kB with short prompts (measured), more with long ones. Replies depend only
on their requests, so the data are the same as with all models loaded at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from gra.errors import GraError, Interrupted, ServerError
from gra.fileio import write_text
from gra.models.base import Backend, Capabilities, Reply, Request
from gra.models.pool import ModelSettings

log = logging.getLogger(__name__)

LULL_S = 0.05  # seconds; short compared with a swap, which takes tens of seconds
_SIMULATED = "SIMULATED_SERVER"  # file in `runtime.log_folder`: a server reported that its models are simulated


class Loader(Protocol):
    """Loads one model for the duration of a `with` block and always unloads it at the end."""

    def load(self, model: ModelSettings) -> AbstractAsyncContextManager[Backend]:
        """Return a context manager that yields a backend serving `model`. Raises ServerError if it cannot be loaded."""
        ...

    def gpus(self, model: ModelSettings) -> int:
        """Return the number of GPUs that the model uses, from which the GPU time is computed."""
        ...


class Phased(Backend):
    """A backend whose models take turns. `loader` loads one model at a time.

    `per_model`: the limit on calls in flight to the loaded model. `folder`: the folder in which the backend writes a
    file if a server reports that its models are simulated. From this file, a resumed run knows that they are simulated,
    even if it loads no model.
    """

    def __init__(
        self,
        models: Sequence[ModelSettings],
        loader: Loader,
        *,
        per_model: int,
        simulated: bool,
        folder: Path | None = None,
    ):
        self._specs = {model.name: model for model in models}
        self.models = tuple(self._specs)
        self._loader, self._per_model, self._folder = loader, per_model, folder
        self.simulated = simulated or (folder is not None and (folder / _SIMULATED).is_file())
        self._waiting: dict[str, deque[asyncio.Future[Backend]]] = {name: deque() for name in self._specs}
        self._in_flight = self._arrivals = 0
        self._change = asyncio.Event()
        self._coordinator: asyncio.Task[None] | None = None
        self._fault: GraError | None = None
        self.loads: dict[str, int] = dict.fromkeys(self._specs, 0)
        self._load_seconds = self._gpu_seconds = 0.0
        self._queued: dict[str, float] = {}

    async def __aenter__(self) -> Self:
        self._coordinator = asyncio.create_task(self._coordinate(), name="phased")
        self._coordinator.add_done_callback(self._coordinator_ended)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel the waiting calls and unload the model."""
        assert self._coordinator is not None
        for ticket in self._tickets():
            ticket.cancel()
        self._coordinator.cancel()
        await asyncio.gather(self._coordinator, return_exceptions=True)

    @property
    def capabilities(self) -> Capabilities:
        """The backend's capabilities. `queues` is true because calls wait here until their model is loaded. The engine
        must therefore pass on all calls at once."""
        return Capabilities(
            queues=True, queued=self.queued, drain=self.drain, account=self.account, gpu_seconds=self.gpu_seconds
        )

    async def chat(self, request: Request) -> Reply:
        """Wait for the model's turn and return its reply. Raises ServerError if the model cannot be loaded or called, and
        Interrupted after `drain`."""
        start = time.monotonic()
        async with self._turn(request.model) as backend:
            self._queued[request.key] = time.monotonic() - start
            return await backend.chat(request)

    def queued(self, request: Request) -> float:
        """Return the seconds that the call for `request` waited for its model's turn. If this method is called a second
        time for `request`, it returns 0."""
        return self._queued.pop(request.key, 0.0)

    def drain(self) -> None:
        """Start no more calls: waiting calls raise Interrupted, calls in flight continue."""
        self._end(Interrupted("interrupted: calls that waited for their model were not made; the same command resumes"))

    def account(self) -> dict[str, Any]:
        """Return, for run.json, the number of loads per model and the seconds spent on loading and unloading."""
        return {"loads": dict(self.loads), "load_seconds": round(self._load_seconds, 3)}

    def gpu_seconds(self) -> float | None:
        """Return the GPU-seconds that all models have used so far, including loading. For the time during which one
        model is loaded, this is the number of seconds times the number of GPUs of this model. Return None if no model
        uses GPUs."""
        return self._gpu_seconds or None

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[Backend]:
        """Wait for the turn of the model `name`. The block can make one call to the model."""
        if self._fault is not None:
            raise self._fault
        ticket: asyncio.Future[Backend] = asyncio.get_running_loop().create_future()
        self._waiting[name].append(ticket)
        self._arrivals += 1
        self._change.set()
        try:
            yield await ticket
        finally:
            if (
                ticket.done() and not ticket.cancelled() and ticket.exception() is None
            ):  # the turn was granted, perhaps to a call that was just cancelled
                self._in_flight -= 1
                self._change.set()

    async def _coordinate(self) -> None:
        while True:
            name = await self._next()
            begun = time.monotonic()
            try:
                await self._take_turn(name)
            finally:
                self._gpu_seconds += self._loader.gpus(self._specs[name]) * (time.monotonic() - begun)

    async def _take_turn(self, name: str) -> None:
        start = time.monotonic()
        async with self._loader.load(self._specs[name]) as backend:
            self.loads[name] += 1
            self._load_seconds += (seconds := time.monotonic() - start)
            waiting = ", ".join(f"{name} {self._count(name)}" for name in self._specs)
            log.info(
                "%s is loaded (%.1f s; load %d); calls waiting: %s", name, seconds, sum(self.loads.values()), waiting
            )
            self._note_simulated(backend)
            await self._serve(name, backend)
            start = time.monotonic()
        self._load_seconds += time.monotonic() - start

    async def _next(self) -> str:
        """Wait until there is a waiting call and no more calls arrive. Return the model with the most waiting calls."""
        while not any(map(self._count, self._specs)):
            self._change.clear()
            await self._change.wait()
        await self._settle()
        best = max(self._specs, key=self._count)
        return best if self._count(best) else await self._next()  # all waiting calls were cancelled meanwhile

    async def _serve(self, name: str, backend: Backend) -> None:
        """Pass calls to the loaded model until its turn is over."""
        queue = self._waiting[name]
        while True:
            self._change.clear()
            while queue and self._in_flight < self._per_model:
                ticket = queue.popleft()
                if not ticket.done():
                    self._in_flight += 1
                    ticket.set_result(backend)
            if not queue and not self._in_flight and any(map(self._count, self._specs)):
                seen = self._arrivals
                await self._settle()
                if not queue and seen == self._arrivals:
                    return
                continue
            await self._change.wait()

    async def _settle(self) -> None:
        """Wait until no call has arrived for LULL_S while the event loop was free to run all tasks."""
        while True:
            seen = self._arrivals
            await asyncio.sleep(LULL_S)
            for _ in range(10):  # a busy loop may wake this task late: let the ready tasks run first
                await asyncio.sleep(0)
            if seen == self._arrivals:
                return

    def _count(self, name: str) -> int:
        """Return the number of calls waiting for the model, after removing cancelled ones."""
        queue = self._waiting[name]
        if any(ticket.done() for ticket in queue):
            living = [ticket for ticket in queue if not ticket.done()]
            queue.clear()
            queue.extend(living)
        return len(queue)

    def _tickets(self) -> list[asyncio.Future[Backend]]:
        return [ticket for queue in self._waiting.values() for ticket in queue if not ticket.done()]

    def _end(self, fault: GraError) -> None:
        self._fault = self._fault or fault
        for ticket in self._tickets():
            ticket.set_exception(self._fault)

    def _coordinator_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._end(error if isinstance(error, GraError) else ServerError(f"the models' scheduler failed: {error!r}"))

    def _note_simulated(self, backend: Backend) -> None:
        """Record the label "simulated" in a file: a resumed run may find all replies in the journal and load no model."""
        if backend.simulated and not self.simulated:
            self.simulated = True
            if self._folder is not None:
                write_text(self._folder / _SIMULATED, "a server said that its models are simulated\n")
