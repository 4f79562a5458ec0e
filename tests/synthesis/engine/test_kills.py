"""kill -9 at random moments, at servers of 5, 50 and 500 ms: what was answered is not asked again.

Counted at a server that outlives the run: requests whose body it has seen before. A kill may cause as many as were in flight, no
more. GRA_KILLS=20 python -m pytest tests/synthesis/engine/test_kills.py: twenty kills each (CI: fewer).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from test_synthesis_app import MODELS, ROOT, data_bytes, finish, free_port, serving

SERVER = ROOT / "benchmarks" / "fixed_latency_server.py"
IN_FLIGHT = 32
KILLS = int(os.environ.get("GRA_KILLS", "0"))


def words(seeds: Path, url: str, output: Path) -> list[str]:
    return [
        sys.executable,
        "-m",
        "gra.synthesis",
        "seeds=custom",
        f"seeds.path={seeds}",
        "pool=servers",
        f"pool.base_url={url}",
        MODELS,
        "synthesis.rounds=1",
        "synthesis.samples_per_round=80",
        "synthesis.dedup.model=hash",
        f"output={output}",
        f"runtime.concurrency={IN_FLIGHT}",
    ]


def stats(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats", timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def reset(url: str) -> None:
    urllib.request.urlopen(
        urllib.request.Request(url.removesuffix("/v1") + "/reset", method="POST"), timeout=10
    ).close()


def killed_after(command: list[str], url: str, seconds: float, folder: Path) -> bool:
    """Run `command` and kill it `seconds` after its first request; False: it ended before."""
    before = stats(url)["calls"]
    with subprocess.Popen(command, cwd=folder, start_new_session=True, stderr=subprocess.DEVNULL) as run:
        while run.poll() is None and stats(url)["calls"] == before:
            time.sleep(0.01)
        try:
            run.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
    if run.returncode not in (0, -signal.SIGKILL):
        pytest.fail(f"exit code {run.returncode}")
    return run.returncode != 0


@pytest.mark.slow
@pytest.mark.parametrize(("latency", "few"), [(0.005, 3), (0.05, 4), (0.5, 2)])
def test_a_kill_repeats_no_more_calls_than_were_in_flight(tmp_path: Path, latency: float, few: int) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text(
        "".join(json.dumps({"instruction": f"Explain item {i}.", "output": f"Item {i}."}) + "\n" for i in range(60))
    )
    port, rng = free_port(), random.Random(1)
    for url in serving([sys.executable, str(SERVER), str(port), "--latency", str(latency)], port):
        kills = repeated = number = 0
        while kills < (KILLS or few):
            output = tmp_path / f"out-{number}"
            if killed_after(words(seeds, url, output), url, 0.1 + (0.3 + 2 * latency) * rng.random(), tmp_path):
                kills += 1
            else:  # it was through: another run from the beginning
                repeated, number = repeated + stats(url)["repeated"], number + 1
                reset(url)
            assert repeated + stats(url)["repeated"] <= kills * IN_FLIGHT
        last = finish(words(seeds, url, output), tmp_path)
        assert last.returncode == 0, last.stderr
        repeated += stats(url)["repeated"]
        print(f"{1000 * latency:g} ms: {kills} kills, {repeated} requests repeated")
        assert repeated <= kills * IN_FLIGHT
        if latency != 0.05:
            continue
        unbroken = finish(words(seeds, url, tmp_path / "whole"), tmp_path)
        assert unbroken.returncode == 0, unbroken.stderr
        assert data_bytes(output) == data_bytes(tmp_path / "whole")
