"""The simulated server on a bad day: python troubled_server.py PORT [OUTAGE_S]. Run by test_troubled_server.py.

The first time that it is asked for something it misbehaves in about every sixth case, each kind in turn by the request's bytes:
it hangs, closes in the middle of the reply, says 429 with Retry-After, sends invalid UTF-8, an empty `choices`, 20 MB of text.
After 300 calls it goes away once, for OUTAGE_S seconds. GET /troubles tells what it did.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable

from aiohttp import web

from gra.simulation.server import application

KINDS = ("hangs", "cut", "busy", "no_utf8", "no_choices", "flood")
AWAY_AFTER = 300
did: Counter[str] = Counter()
seen: set[int] = set()
gone = asyncio.Event()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def misbehave(kind: str, request: web.Request) -> web.StreamResponse:
    if kind == "hangs":
        await asyncio.sleep(3600)
    if kind == "busy":
        return web.Response(status=429, headers={"Retry-After": "0.2"})
    if kind == "no_utf8":
        return web.Response(body=b'{"choices": [{"message": {"content": "\xff\xfe"}}]}')
    if kind == "no_choices":
        return web.json_response({"choices": []})
    response = web.StreamResponse()
    if kind == "cut":
        response.content_length = 1000
    await response.prepare(request)
    await response.write(b'{"choices": [{"index": 0, "message": {"content": "')
    if kind == "cut":
        assert request.transport is not None
        request.transport.close()
        return response
    for _ in range(20):
        await response.write(b"x" * (1 << 20))
    return response


@web.middleware
async def trouble(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path == "/troubles":
        return web.json_response(did)
    if request.method == "POST":
        mark = zlib.crc32(await request.read())
        did["calls"] += 1
        if did["calls"] == AWAY_AFTER:
            gone.set()
        if mark % 6 == 0 and mark not in seen:
            seen.add(mark)
            kind = KINDS[mark // 6 % len(KINDS)]
            did[kind] += 1
            return await misbehave(kind, request)
    return await handler(request)


async def main(port: int, outage: float) -> None:
    app = application()
    app.middlewares.append(trouble)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await gone.wait()
    if outage:
        await runner.cleanup()  # every connection breaks, and nobody listens
        await asyncio.sleep(outage)
        did["outages"] += 1
        again = application()
        again.middlewares.append(trouble)
        runner = web.AppRunner(again, access_log=None, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
