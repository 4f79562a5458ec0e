"""How many tokens of a prompt a llama.cpp server computes, by step: judges' prompts begin alike, and a prefix cache keeps that.

    python -m benchmarks.prompt_reuse FILE.gguf [--template plain] [--prompts classic]      # minutes on a CPU; no seeds, no journal

Asks check, review and instruction for four samples of three domains, one call at a time, eight tokens of reply each. The first call
of a step is computed whole; the figures are those of the calls after it (`timings.prompt_n` of llama.cpp).
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from gra.synthesis import prompts

SAMPLES = (
    ("Name a river.", "The Rhine.", "language"),
    ("Add 2 and 3.", "5", "mathematics"),
    ("Write a line on rain.", "It falls softly.", "creation"),
    ("Halve 10.", "5", "mathematics"),
)
STEPS = ("check", "review", "instruction")


def main() -> None:
    """Serve the file, ask, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--template", default="own")
    parser.add_argument("--prompts", default="turns", choices=prompts.EDITIONS)
    given = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [
        "--model",
        str(given.file),
        "--name",
        "m",
        "--port",
        str(port),
        "--template",
        given.template,
        "--parallel",
        "2",
    ]
    command = [sys.executable, "-P", "-m", "gra.models.launch.llama_cpp_server", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            rows = measure(f"http://127.0.0.1:{port}", given.prompts)
        finally:
            server.kill()
    print("| step | prompt tokens | computed after the first call | seconds: first call | after it |")
    print("| --- | --- | --- | --- | --- |")
    for step, calls in rows.items():
        size, computed, seconds = (round(statistics.fmean(call[i] for call in calls[1:]), 1) for i in range(3))
        print(f"| {step} | {size:.0f} | {computed:.0f} | {calls[0][2]:.1f} | {seconds:.1f} |")


def measure(url: str, edition: str) -> dict[str, list[tuple[int, int, float]]]:
    """By step, of each call: tokens of the prompt, those computed, seconds."""
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{url}/health").close()
            break
        except OSError:
            time.sleep(0.2)
    rows: dict[str, list[tuple[int, int, float]]] = {step: [] for step in STEPS}
    for instruction, response, domain in SAMPLES:
        values = {
            "instruction": instruction,
            "response": response,
            "domain": domain,
            "solve": False,
            "records": (),
            "show": "metadata",
            "demonstrations": prompts.built_in(edition)[:3],
            "keywords": ("a", "b", "c"),
        }
        for step in STEPS:
            body = {
                "model": "m",
                "messages": prompts.render(step, edition, **values),
                "max_tokens": 8,
                "temperature": 0,
            }
            begun = time.perf_counter()
            found = _post(f"{url}/v1/chat/completions", body)
            took = time.perf_counter() - begun
            rows[step].append((found["usage"]["prompt_tokens"], found["timings"]["prompt_n"], took))
    return rows


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as reply:
        found: dict[str, Any] = json.load(reply)
    return found


if __name__ == "__main__":
    main()
