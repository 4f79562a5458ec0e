"""A whole run, as a command, with a server on which one request in ten always fails, each in its own way: it has the rows that were
asked for, and the same bytes at any concurrency and after kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from test_synthesis_app import MODELS, data_bytes, finish, free_port, serving

SERVER = Path(__file__).parents[3] / "benchmarks" / "fixed_latency_server.py"
KINDS = "503,reset,cut,empty,utf8,html,20mb"


def words(seeds: Path, url: str, output: Path, concurrency: int) -> list[str]:
    return [
        sys.executable,
        "-m",
        "gra.synthesis",
        "seeds=custom",
        f"seeds.path={seeds}",
        "pool=servers",
        f"pool.base_url={url}",
        MODELS,
        "synthesis.rounds=2",
        "synthesis.samples_per_round=15",
        "synthesis.dedup.model=hash",
        f"output={output}",
        f"runtime.concurrency={concurrency}",
    ]


@pytest.mark.slow
def test_the_rows_asked_for_and_the_same_bytes(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text(
        "".join(json.dumps({"instruction": f"Explain item {i}.", "output": f"Item {i}."}) + "\n" for i in range(24))
    )
    port = free_port()
    options = ["--latency", "0.02", "--poison", "10", "--kinds", KINDS]
    for url in serving([sys.executable, str(SERVER), str(port), *options], port):
        done = finish(words(seeds, url, tmp_path / "a", 32), tmp_path)
        assert done.returncode == 0, done.stderr
        few = finish(words(seeds, url, tmp_path / "b", 5), tmp_path)
        assert few.returncode == 0, few.stderr
        with subprocess.Popen(
            words(seeds, url, tmp_path / "c", 8), cwd=tmp_path, start_new_session=True, stderr=-3
        ) as run:
            while not (tmp_path / "c.partial" / "journal.sqlite").exists() and run.poll() is None:
                time.sleep(0.05)
            time.sleep(1.5)
            os.killpg(run.pid, signal.SIGKILL)
        last = finish(words(seeds, url, tmp_path / "c", 16), tmp_path)
        assert last.returncode == 0, last.stderr
    assert data_bytes(tmp_path / "a") == data_bytes(tmp_path / "b") == data_bytes(tmp_path / "c")
    assert "is set aside" not in done.stderr
    assert "a request keeps failing while others succeed and is abandoned" in done.stderr
    stats = json.loads((tmp_path / "a" / "stats.json").read_text())
    assert stats["kept"] == 30
    rejected = pq.read_table(tmp_path / "a" / "rejected.parquet").to_pylist()
    told = " ".join(f"{row['reason']} {row['detail']} {row['reviews_json']}" for row in rejected)
    for reason in (
        "HTTP 503: injected",
        "the connection broke",
        "no choices",
        "not UTF-8",
        "not JSON",
        "bytes (the limit",
    ):
        assert f"failed at every attempt: {reason}" in told or reason in told, reason
    at_fault = json.loads((tmp_path / "a" / "run.json").read_text())["requests_at_fault"]
    assert sum(sum(of_model.values()) for of_model in at_fault.values()) > 8
