"""The floor: the least a Python client can do. Bare asyncio + aiohttp, one limit, nothing parsed but JSON, nothing kept.

    python benchmarks/floor.py URL IN_FLIGHT BODIES      # BODIES: a file with one request body a line

Sends the bodies in the file's order and prints {"calls", "wall_s", "cpu_s", "rss_mb"} as JSON; imports are left out of the
times. `benchmarks/engine.py` runs it with the bodies that the engine has just sent.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import aiohttp
from harness import peak_mb


async def replay(url: str, in_flight: int, bodies: list[bytes]) -> int:
    """Ask for every body and return the number of characters of the replies."""
    total = 0
    queue = iter(bodies)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:

        async def worker() -> None:
            nonlocal total
            for body in queue:
                async with session.post(f"{url}/chat/completions", data=body) as response:
                    total += len((await response.json())["choices"][0]["message"]["content"])

        await asyncio.gather(*(worker() for _ in range(in_flight)))
    return total


def main() -> None:
    url, in_flight, path = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    bodies = path.read_bytes().splitlines()
    wall, cpu = time.perf_counter(), time.process_time()
    asyncio.run(replay(url, in_flight, bodies))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"calls": len(bodies), "wall_s": wall, "cpu_s": cpu, "rss_mb": peak_mb()}))


if __name__ == "__main__":
    main()
