"""An OpenAI-compatible server on a real socket, in a thread: it keeps what it was sent, and behaves as a test says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Behaviour = Callable[[web.Request, dict[str, Any], int], Awaitable[web.StreamResponse]]


@dataclass
class Site:
    """`bodies`: what was sent, in order; `keys`: the Authorization headers."""

    port: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


def says(text: str) -> dict[str, Any]:
    """A body that answers completions and chats alike."""
    return {
        "choices": [
            {"index": 0, "finish_reason": "stop", "text": text, "message": {"role": "assistant", "content": text}}
        ]
    }


def said_to(body: dict[str, Any]) -> str:
    """The canned reply: what it is depends on the prompt alone."""
    prompt = body.get("prompt", body.get("messages"))
    prompt = prompt[0] if isinstance(prompt, list) and prompt and isinstance(prompt[0], list) else prompt
    return f"I heard {len(prompt)}<|im_end|>and more"


async def well(_request: web.Request, body: dict[str, Any], _n: int) -> web.StreamResponse:
    return web.json_response(says(said_to(body)))


def answering(status: int, text: str = "no", **headers: str) -> Behaviour:
    async def behave(_request: web.Request, _body: dict[str, Any], _n: int) -> web.StreamResponse:
        return web.json_response(
            {"error": {"message": text}}, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    return behave


async def reset(request: web.Request, _body: dict[str, Any], _n: int) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def nonsense(_request: web.Request, _body: dict[str, Any], n: int) -> web.StreamResponse:
    bodies = [b"[]", b'{"choices": []}', b'{"choices": [{"index": 7, "text": 5}]}', b"\xff\xfe", b"[" * 100_000]
    return web.Response(body=bodies[n % len(bodies)], content_type="application/json")


@contextmanager
def serving(behave: Behaviour = well, models: tuple[str, ...] = ("m",), owner: str = "me") -> Iterator[Site]:
    """Serve /v1/completions, /v1/chat/completions and /v1/models until the block ends. `owner`: of the listed models."""
    site, loop, up = Site(), asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()

    async def post(request: web.Request) -> web.StreamResponse:
        n = len(site.bodies)
        site.bodies.append(await request.json())
        site.keys.append(request.headers.get("Authorization"))
        return await behave(request, site.bodies[n], n)

    async def listing(_request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": name, "owned_by": owner} for name in models]})

    async def run() -> None:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/v1/completions", post)
        app.router.add_post("/v1/chat/completions", post)
        app.router.add_get("/v1/models", listing)
        runner = web.AppRunner(app, shutdown_timeout=0.05, handler_cancellation=True)
        await runner.setup()
        tcp = web.TCPSite(runner, "127.0.0.1", 0)
        await tcp.start()
        assert tcp._server is not None
        site.port = tcp._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        up.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    assert up.wait(10)
    try:
        yield site
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
