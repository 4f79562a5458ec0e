"""The simulated server with models of odd habits: python odd_server.py PORT. Run by test_odd_replies.py.

slm-a thinks aloud, runs past its end and invents the next turn; slm-b has no credits (its words come as refusals); slm-c names
its limit `MAX_TOKENS` for every third reply and writes instructions with single backslashes and an input; slm-d ends with a
word that nobody knows. slm-e is itself. What a model does depends on the request alone.
"""

from __future__ import annotations

import asyncio
import json
import sys
import zlib
from collections.abc import Awaitable, Callable

from aiohttp import web

from gra.simulation.server import application

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
answered = 0


@web.middleware
async def habits(request: web.Request, handler: Handler) -> web.StreamResponse:
    global answered
    if request.path == "/answered":
        return web.json_response(answered)
    if request.method != "POST":
        return await handler(request)
    mark, response = zlib.crc32(await request.read()), await handler(request)
    assert isinstance(response, web.Response)
    value = json.loads(response.text or "")
    choice = value["choices"][0]
    message, model = choice["message"], value["model"]
    text = message["content"]
    if model == "slm-a":
        message["content"] = f"<think>First {{this}}.</think>{text}<|im_end|>\n<|im_start|>user\nAnd {text}"
    elif model == "slm-b":
        message |= {"content": None, "refusal": "402: no credits are left, top up your balance"}
    elif model == "slm-c":
        if mark % 3 == 0:
            choice["finish_reason"] = "MAX_TOKENS"
        elif text.startswith('{"instruction": "'):
            message["content"] = (
                text.removesuffix('"}') + r' Use $\frac{1}{2} \times 3$.", "input": "Given: 7", "mood": "good"}'
            )
    elif model == "slm-d":
        choice["finish_reason"] = "ended_by_wish"
    answered += 1
    return web.json_response(value)


async def main(port: int) -> None:
    app = application()
    app.middlewares.append(habits)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
