"""The simulated models behind real HTTP, in a thread of the test, with every call counted: what a run pays is what arrives here."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from gra.simulation.models import MODELS
from gra.simulation.server import application


class Counting:
    """A running server: `url`, and the chat completions asked of it so far, by model. `budget`: calls that it answers before it
    refuses all others, as a provider does whose customer is out of credit; None: no end. `held_at`: calls after so many `arrived`
    wait for their answers, and are counted in `waiting`; None: none do."""

    def __init__(self) -> None:
        self.url = ""
        self.budget: int | None = None
        self.held_at: int | None = None
        self.arrived = self.waiting = 0
        self.calls: Counter[str] = Counter()
        self.bodies: list[str] = []  # of the calls since the last time `asked` was called
        self.looks = 0  # at the list of models

    @property
    def total(self) -> int:
        return sum(self.calls.values())

    def taken(self) -> int:
        """The calls since the last time this was asked."""
        total = self.total
        self.calls.clear()
        return total

    def asked(self) -> set[str]:
        """The different requests since the last time this was asked."""
        found = set(self.bodies)
        self.bodies.clear()
        return found


@contextmanager
def counting(models: tuple[str, ...] = MODELS, latency: float = 0.0) -> Iterator[Counting]:
    server = Counting()
    app = application(models, latency=latency)

    @web.middleware
    async def count(request: web.Request, handler: Any) -> Any:
        if request.path.endswith("/chat/completions"):
            if server.budget is not None:
                if server.budget <= 0:
                    return web.json_response({"error": {"message": "out of credit"}}, status=402)
                server.budget -= 1
            server.calls[(await request.json())["model"]] += 1
            server.bodies.append(await request.text())
            server.arrived += 1
            mine = server.arrived
            server.waiting += 1
            while server.held_at is not None and mine > server.held_at:
                await asyncio.sleep(0.02)
            server.waiting -= 1
        server.looks += request.path.endswith("/models")
        return await handler(request)

    app.middlewares.append(count)
    loop, ready = asyncio.new_event_loop(), threading.Event()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return runner

    def serve() -> None:
        runner = loop.run_until_complete(start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield server
    finally:
        server.held_at = None
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()
