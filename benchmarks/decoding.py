"""Tokens a second of llama.cpp on this machine: one server, and two at once, by threads, huge pages and how long threads spin.

    gra fetch models smollm2-135m qwen2.5-coder-0.5b && python benchmarks/decoding.py      # some ten minutes on two cores

In each case the slow model gets 4 requests of 40 tokens, two in flight; if both models are busy, the fast one gets 2 of 150 tokens
at the same time. A case starts servers of its own and sends one request unmeasured. Cases run by turns, because the memory
bandwidth of a virtual machine changes within minutes. What gra/models/launch/llama_cpp_server.py sets is the last line.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
import urllib.request
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from harness import machine, table
from real_server import llama_cpp

from gra.weights.command import catalogue
from gra.weights.place import path_of

SLOW, FAST = "qwen2.5-coder-0.5b", "smollm2-135m"
SMALL_PAGES, HUGE_PAGES = ({"GLIBC_TUNABLES": f"glibc.malloc.hugetlb={value}"} for value in (0, 1))
SPINNING, SLEEPING = {"GOMP_SPINCOUNT": "infinity"}, {"GOMP_SPINCOUNT": "3000"}


def cases(cores: int) -> dict[str, tuple[int, dict[str, str]]]:
    """Name -> threads and environment of each server."""
    return {
        "1 thread, small pages": (1, SMALL_PAGES | SPINNING),
        "1 thread, huge pages": (1, HUGE_PAGES | SPINNING),
        f"{cores} threads, small pages, spinning": (cores, SMALL_PAGES | SPINNING),
        f"{cores} threads, huge pages, spinning": (cores, HUGE_PAGES | SPINNING),
        f"{cores} threads, huge pages, sleeping": (cores, HUGE_PAGES | SLEEPING),
    }


def tokens_of(url: str, number: int, most: int) -> int:
    """Ask for a story and return its tokens."""
    body = {
        "model": "m",
        "max_tokens": most,
        "messages": [{"role": "user", "content": f"Write a long story {number}."}],
    }
    request = urllib.request.Request(
        f"{url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=900) as reply:
        return int(json.load(reply)["usage"]["completion_tokens"])


def measured(threads: int, environment: dict[str, str], *, both: bool) -> float:
    """Tokens a second over the servers that are busy."""
    entries = catalogue()["small"]
    with tempfile.TemporaryDirectory(prefix="gra-bench-") as folder, ExitStack() as stack:
        urls = {
            name: stack.enter_context(
                llama_cpp(path_of(entries[name]), "m", 2, Path(folder, name), threads, **environment)
            )
            for name in ((SLOW, FAST) if both else (SLOW,))
        }
        tokens_of(urls[SLOW], 0, 4)
        with ThreadPoolExecutor(2) as slow, ThreadPoolExecutor(2) as fast:
            begun = time.perf_counter()
            waiting: list[Future[int]] = [slow.submit(tokens_of, urls[SLOW], number, 40) for number in range(4)]
            waiting += [fast.submit(tokens_of, urls[FAST], number, 150) for number in range(2)] if both else []
            return sum(future.result() for future in waiting) / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2, help="rounds through all cases (default: %(default)s)")
    given = parser.parse_args()
    about, known = machine(), cases(os.cpu_count() or 2)
    found: dict[tuple[str, bool], list[float]] = {}
    for _ in range(given.repeats):
        for name, (threads, environment) in known.items():
            for both in (False, True):
                found.setdefault((name, both), []).append(measured(threads, environment, both=both))
                print(f"{name}, {'two servers' if both else 'one'}: {found[name, both][-1]:.1f} tokens/s", flush=True)
    first = next(iter(known))
    rows = []
    for name in known:
        row: list[object] = [name]
        for both in (False, True):
            rate = statistics.median(found[name, both])
            row += [rate, rate / statistics.median(found[first, both])]
        rows.append(row)
    print(f"\n{about}\n\n{table(['servers', 'one, tokens/s', 'ratio', 'two, tokens/s', 'ratio'], rows)}")


if __name__ == "__main__":
    main()
