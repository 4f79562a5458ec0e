"""The simulated models behind HTTP, for `pool.serve` in server jobs: every call is a line in a file that all servers share.

    python tests/cluster/counted_server.py --folder DIR --models slm-a --port 8000 --latency 0.05

DIR/calls: a line for each call that arrives, with the hash of its body; DIR/models: a line for each start, with the process.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any

from aiohttp import web

from gra.simulation.server import application, serve


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--models", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--latency", type=float, default=0.0)
    given = parser.parse_args()
    app = application(given.models.split(","), latency=given.latency)

    @web.middleware
    async def count(request: web.Request, handler: Any) -> Any:
        if request.path.endswith("/chat/completions"):
            line(given.folder / "calls", hashlib.sha256(await request.read()).hexdigest())
        return await handler(request)

    app.middlewares.append(count)
    given.folder.mkdir(parents=True, exist_ok=True)
    line(given.folder / "models", f"{given.models} {os.getpid()}")
    asyncio.run(serve(app, given.host, given.port))


def line(path: Path, text: str) -> None:
    """Append a line; several servers write at the same time."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, f"{text}\n".encode())
    finally:
        os.close(handle)


if __name__ == "__main__":
    main()
