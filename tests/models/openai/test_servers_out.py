"""`servers_out`: which servers get no calls for now, as the progress panel shows them."""

from __future__ import annotations

import asyncio
import socket

from aiohttp import web

from gra.models.openai.backend import OpenAIServer, connect


async def models(_request: web.Request) -> web.Response:
    return web.json_response({"data": [{"id": "a"}, {"id": "b"}]})


def test_a_server_that_is_set_aside_is_named_once() -> None:
    with socket.socket() as probe:  # a port where nobody listens
        probe.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"

    async def main() -> tuple[list[str], list[str]]:
        app = web.Application()
        app.router.add_get("/v1/models", models)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        live = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        pool = {"_target_": "gra.models.openai.backend.connect", "models": ["a", "b"], "base_url": [live, dead]}
        backend = connect(pool, {"startup_wait_s": 5})
        assert isinstance(backend, OpenAIServer)
        before = backend.servers_out()
        async with backend:
            found = backend.servers_out()
        await runner.cleanup()
        return before, found

    before, found = asyncio.run(main())
    assert (before, found) == ([], [dead])
