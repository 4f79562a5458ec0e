"""Tokens a second that the engine gets out of a real llama.cpp server, beside a bare load generator with the same requests.

    gra fetch models smollm2-135m && python benchmarks/real_server.py          # 4 and 16 in flight, three rounds by turns: minutes

The server runs on this machine, with all of its cores but one: llama.cpp's threads stall where another process takes one of theirs.
Each pass is a child process; the server is warm (one pass unmeasured) before the first. Tokens are those that the server says it
wrote, seconds those from the first request to the last reply.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import HERE, fetch, free_port, machine, table

from gra.models.base import Reply, Request
from gra.models.openai.wire import body_of, reply_from
from gra.models.pool import ModelSettings
from gra.paths import conf_dir

MAX_TOKENS = 64
TARGET = 0.95


def requests(count: int, model: str) -> list[Request]:
    """The first `count` starter seeds as questions, again from the first where there are fewer; each with a seed of its own."""
    lines = (conf_dir() / "seeds" / "starter.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(lines[place % len(lines)])["instruction"] for place in range(count)]
    return [
        Request(model, ({"role": "user", "content": text},), 0.7, 0.95, MAX_TOKENS, seed)
        for seed, text in enumerate(texts)
    ]


async def engine(url: str, asked: list[Request], in_flight: int, folder: Path) -> list[Reply]:
    """Through the engine, its backend and its journal, as a run's calls go."""
    from gra.models.openai.backend import connect
    from gra.synthesis.committee.calls import Call, Exchange
    from gra.synthesis.engine.engine import Engine
    from gra.synthesis.engine.journal import Journal

    def talk(place: int, request: Request) -> Exchange[Reply]:
        replies = yield [Call(f"row-{place}", "respond", "generator", 0, request)]
        return replies[0]

    pool = {
        "_target_": "gra.models.openai.backend.connect",
        "base_url": url,
        "models": [asked[0].model],
        "check_models": False,
    }
    with Journal(folder / "journal.sqlite") as journal:
        async with connect(pool, {"concurrency": in_flight}) as backend:
            run = Engine(backend, journal, in_flight)
            return [reply async for reply in run.stream(talk(place, request) for place, request in enumerate(asked))]


async def bare(url: str, asked: list[Request], in_flight: int) -> list[Reply]:
    """asyncio + aiohttp, one limit, the same bodies."""
    import aiohttp

    model = ModelSettings(name=asked[0].model)
    queue = iter([body_of(request, model, structured=True, send_seed=True, extra={}) for request in asked])
    found: list[Reply] = []
    headers = {"Content-Type": "application/json"}
    limit = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), headers=headers, timeout=limit
    ) as session:

        async def worker() -> None:
            for body in queue:
                async with session.post(f"{url}/chat/completions", data=body) as response:
                    found.append(reply_from(await response.read()))

        await asyncio.gather(*(worker() for _ in range(in_flight)))
    return found


def child(options: argparse.Namespace) -> None:
    """One pass: {"tokens", "seconds", "calls"} as JSON."""
    from gra import event_loop

    asked = requests(options.requests, options.model)
    with tempfile.TemporaryDirectory(prefix="gra-bench-") as folder:
        way = engine(options.url, asked, options.in_flight, Path(folder)) if options.child == "engine" else None
        begun = time.perf_counter()
        replies = event_loop.run(way or bare(options.url, asked, options.in_flight))
        seconds = time.perf_counter() - begun
    whole = [reply for reply in replies if reply.error is None and reply.tokens_out]
    if len(whole) != len(asked):
        raise SystemExit(f"{len(asked) - len(whole)} of {len(asked)} calls were not answered")
    print(
        json.dumps({"tokens": sum(reply.tokens_out or 0 for reply in whole), "seconds": seconds, "calls": len(whole)})
    )


@contextmanager
def llama_cpp(
    weights: Path, name: str, parallel: int, log: Path, threads: int | None = None, **environment: str
) -> Iterator[str]:
    """A llama.cpp server for `weights`, for the time of the block: its base URL. `threads`: by default all cores but one."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "gra.models.launch.llama_cpp_server",
        "--model",
        str(weights),
        "--name",
        name,
        "--port",
        str(port),
        "--template",
        "own",
        "--threads",
        str(threads or max(1, (os.cpu_count() or 2) - 1)),
        "--parallel",
        str(parallel),
        "--context",
        "1024",
    ]
    own = {**os.environ, **environment}
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, env=own) as server:
        try:
            deadline = time.monotonic() + 120
            while True:
                try:
                    fetch(f"http://127.0.0.1:{port}/health")
                    break
                except OSError:
                    if server.poll() is not None or time.monotonic() > deadline:
                        raise SystemExit(
                            f"llama.cpp did not come up:\n{log.read_text(errors='replace')[-2000:]}"
                        ) from None
                    time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.kill()


def passed(way: str, url: str, in_flight: int, options: argparse.Namespace) -> dict[str, Any]:
    """One pass in a child process."""
    command = [
        sys.executable,
        str(HERE / "real_server.py"),
        "--child",
        way,
        "--url",
        url,
        "--in-flight",
        str(in_flight),
    ]
    command += ["--requests", str(options.requests), "--model", options.model]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the pass through {way} ended with exit code {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m", help="a model of pool=small whose weights are in the cache")
    parser.add_argument("--requests", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--json", type=Path, help="write every pass there")
    parser.add_argument("--child", choices=["engine", "bare"], help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        options.in_flight = options.in_flight[0]
        child(options)
        return
    from gra.weights.command import catalogue
    from gra.weights.place import path_of

    weights = path_of(catalogue()["small"][options.model])
    if not weights.is_file():
        raise SystemExit(f"{weights} is not there: gra fetch models {options.model}")
    print(f"{machine()}; {options.model}, {options.requests} requests of at most {MAX_TOKENS} tokens")
    rows, everything = [], []
    for in_flight in options.in_flight:
        with (
            tempfile.TemporaryDirectory(prefix="gra-bench-") as folder,
            llama_cpp(weights, options.model, in_flight, Path(folder) / "server.log") as url,
        ):
            passed("bare", url, in_flight, options)
            rounds = [
                {way: passed(way, url, in_flight, options) for way in ("bare", "engine")} for _ in range(options.rounds)
            ]
        rates = {way: [one[way]["tokens"] / one[way]["seconds"] for one in rounds] for way in ("bare", "engine")}
        ratios = [ours / floor for ours, floor in zip(rates["engine"], rates["bare"], strict=True)]
        ratio = statistics.median(ratios)
        spread = f"{min(ratios):.3f} .. {max(ratios):.3f}"
        met = "met" if ratio >= TARGET else "MISSED"
        rows.append(
            [in_flight, statistics.median(rates["bare"]), statistics.median(rates["engine"]), ratio, spread, met]
        )
        everything.append({"in_flight": in_flight, "rounds": rounds})
    header = ["in flight", "bare, tokens/s", "engine, tokens/s", "of the bare one's", "over rounds", f">= {TARGET}"]
    print(table(header, rows))
    if options.json is not None:
        options.json.write_text(
            json.dumps({"machine": machine(), "model": options.model, "passes": everything}, indent=1)
        )


if __name__ == "__main__":
    main()
