"""An OpenAI-compatible server on a real socket that behaves as a test says, call by call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Behaviour = Callable[[web.Request, dict[str, Any], int], Awaitable[web.StreamResponse]]


def completion(text: str | None = "fine", finish: str = "stop", **message: Any) -> dict[str, Any]:
    """A chat completion as servers send it."""
    return {
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }


def well(text: str = "fine") -> Behaviour:
    async def behave(_request: web.Request, _body: dict[str, Any], _n: int) -> web.Response:
        return web.json_response(completion(text))

    return behave


def first(*bad: Behaviour, then: Behaviour | None = None) -> Behaviour:
    """The n-th call meets the n-th of `bad`, all later ones `then`."""
    good = then or well()

    async def behave(request: web.Request, body: dict[str, Any], n: int) -> web.StreamResponse:
        return await (bad[n] if n < len(bad) else good)(request, body, n)

    return behave


def answering(status: int, body: bytes | dict[str, Any] = b"", **headers: str) -> Behaviour:
    async def behave(_request: web.Request, _body: dict[str, Any], _n: int) -> web.Response:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(status=status, body=data, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return behave


async def hang(_request: web.Request, _body: dict[str, Any], _n: int) -> web.Response:
    await asyncio.sleep(3600)
    return web.Response()


async def reset(request: web.Request, _body: dict[str, Any], _n: int) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def cut(request: web.Request, _body: dict[str, Any], _n: int) -> web.StreamResponse:
    """Closes in the middle of the reply."""
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"choices": [{"mess')
    assert request.transport is not None
    request.transport.close()
    return response


async def flood(request: web.Request, _body: dict[str, Any], _n: int) -> web.StreamResponse:
    """20 MB of text in chunks, without saying so before."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b'{"choices": [{"index": 0, "message": {"content": "')
    for _ in range(20):
        await response.write(b"x" * (1 << 20))
    await response.write(b'"}}]}')
    return response


@dataclass
class Site:
    """A running server and what it was asked."""

    port: int
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    cancelled: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@asynccontextmanager
async def serving(behave: Behaviour, *, models: Any = ("m",), port: int = 0) -> AsyncIterator[Site]:
    """Serve `behave`. `models`: ids that GET /v1/models lists, or an HTTP status that it answers with."""
    site = Site(port)

    async def chat(request: web.Request) -> web.StreamResponse:
        n = len(site.bodies)
        site.bodies.append(await request.json())
        site.keys.append(request.headers.get("Authorization"))
        try:
            return await behave(request, site.bodies[n], n)
        except asyncio.CancelledError:
            site.cancelled += 1
            raise

    async def listing(_request: web.Request) -> web.Response:
        if isinstance(models, int):
            return web.Response(status=models, text="no list here")
        return web.json_response({"object": "list", "data": [m if isinstance(m, dict) else {"id": m} for m in models]})

    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", listing)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.05)
    await runner.setup()
    tcp = web.TCPSite(runner, "127.0.0.1", port, reuse_address=True)
    await tcp.start()
    assert tcp._server is not None
    site.port = tcp._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    try:
        yield site
    finally:
        await runner.cleanup()
