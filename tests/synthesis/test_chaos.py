"""Twenty kills at random moments, and a server that fails on some requests for good: nothing is lost, nothing is paid twice
but what was in flight."""

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

import pytest
from test_synthesis_app import MODELS, SHARED, data_bytes, finish, free_port, serving

SERVER = SHARED / "bench" / "fake_llm_server.py"
IN_FLIGHT = 16
LATENCY = 0.06
LOST = 0.2  # seconds of answered calls that a kill may lose: those of the group that was not committed yet, and some to spare


def words(seeds: Path, url: str, output: Path) -> list[str]:
    return [
        sys.executable, "-m", "gra.synthesis", "seeds=custom", f"seeds.path={seeds}", "pool=servers", f"pool.base_url={url}",
        MODELS, "synthesis.rounds=2", "synthesis.samples_per_round=120", "synthesis.dedup.model=hash", f"output={output}",
        f"runtime.concurrency={IN_FLIGHT}",
    ]  # fmt: skip


def stats(url: str) -> dict[str, int]:
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats", timeout=10) as answer:
        found: dict[str, int] = json.load(answer)
        return found


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    if not SERVER.is_file():
        pytest.skip(f"needs {SERVER}")
    path = tmp_path / "seeds.jsonl"
    path.write_text("".join(json.dumps({"instruction": f"Explain item {i}.", "output": f"Item {i}."}) + "\n" for i in range(60)))
    return path


@pytest.mark.slow
def test_twenty_kills_repeat_no_more_than_what_was_in_flight_and_change_no_byte(tmp_path: Path, seeds: Path) -> None:
    port = free_port()
    for url in serving([sys.executable, str(SERVER), str(port), "--latency", str(LATENCY)], port):
        unbroken = finish(words(seeds, url, tmp_path / "whole"), tmp_path)
        assert unbroken.returncode == 0, unbroken.stderr
        urllib.request.urlopen(urllib.request.Request(url.removesuffix("/v1") + "/reset", method="POST"), timeout=10).close()
        rng, kills, repeated = random.Random(1), 0, 0
        for _ in range(60):
            before = stats(url)
            with subprocess.Popen(words(seeds, url, tmp_path / "out"), cwd=tmp_path, start_new_session=True, stderr=-3) as run:
                while run.poll() is None and stats(url)["calls"] == before["calls"]:
                    time.sleep(0.02)
                try:
                    run.wait(timeout=0.1 + 0.5 * rng.random())
                except subprocess.TimeoutExpired:
                    os.killpg(run.pid, signal.SIGKILL)
                    kills += 1
            after = stats(url)
            assert after["repeated"] - repeated <= IN_FLIGHT + IN_FLIGHT / LATENCY * LOST
            repeated = after["repeated"]
            if run.returncode == 0 or kills == 20:
                break
        assert kills == 20
        last = finish(words(seeds, url, tmp_path / "out"), tmp_path)
        assert last.returncode == 0, last.stderr
    assert data_bytes(tmp_path / "out") == data_bytes(tmp_path / "whole")


@pytest.mark.slow
def test_requests_that_fail_for_good_cost_a_verdict_or_a_proposal_never_the_run(tmp_path: Path, seeds: Path) -> None:
    port = free_port()
    for url in serving([sys.executable, str(SERVER), str(port), "--latency", "0.005", "--error-every", "20"], port):
        done = finish(words(seeds, url, tmp_path / "out"), tmp_path)
        assert done.returncode == 0, done.stderr
    account = json.loads((tmp_path / "out" / "stats.json").read_text())
    assert account["kept"] == 240
    assert account["missing_verdicts"] > 20  # a reviewer's refusal is a missing verdict; two others judge the sample
    lost = {"keywords_missing", "instruction_missing", "response_missing"}
    assert sum(count for reason, count in account["reasons"].items() if reason in lost) > 5  # the generator's refusals
    assert "too_few_checks" not in account["reasons"] or account["reasons"]["too_few_checks"] < account["missing_verdicts"] / 4
