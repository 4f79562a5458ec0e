"""A committee of a real model in all roles, from seeds to a data folder: SmolLM2-135M under three names, served by llama.cpp.

Skips aloud where llama.cpp or the weights cannot be had. What so small a model writes is not judged here: only that the run ends,
that nothing is kept that a check should have refused, and that the account is whole.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from real_weights import fetched, need_llama_cpp

from gra.synthesis.replies.restating import restates

NAMES = ("first", "second", "third")
SERVED = "smollm2-135m"


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: int) -> Iterator[str]:
    need_llama_cpp()
    weights, port = fetched(SERVED, monkeypatch, tmp_path / "cache"), free_port
    command = [
        sys.executable,
        "-m",
        "gra.models.launch.llama_cpp_server",
        "--model",
        str(weights),
        "--template",
        "own",
        "--name",
        SERVED,
        "--port",
        str(port),
        "--threads",
        "1",
        "--parallel",
        "2",
        "--context",
        "2048",
    ]
    with (tmp_path / "server.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            for _ in range(600):
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                        break
                except OSError:
                    assert server.poll() is None, (tmp_path / "server.log").read_text()[-2000:]
                    time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.kill()


@pytest.mark.slow
def test_one_real_model_in_every_role_writes_a_data_folder(tmp_path: Path, address: str) -> None:
    output = tmp_path / "data"
    models = ",".join(f"{{name: {name}, model: {SERVED}}}" for name in NAMES)
    command = [
        sys.executable,
        "-m",
        "gra.synthesis",
        f"pool.base_url={address}",
        f"pool.models=[{models}]",
        "seeds=starter",
        "seeds.limit=8",
        "synthesis.prompts=turns",
        "synthesis.scoring=probability",
        "synthesis.reviewers=1",
        "synthesis.min_reviews=1",
        "synthesis.rounds=1",
        "synthesis.samples_per_round=2",
        "synthesis.max_proposals=4",
        "synthesis.tau=3",
        "synthesis.check_tau=3",
        "synthesis.dedup.model=hash",
        "synthesis.decoding.respond.max_tokens=48",
        "runtime.concurrency=6",
        f"output={output}",
    ]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    stats = json.loads((output / "stats.json").read_text())
    assert not stats["simulated"]
    assert stats["proposals"] <= 4
    kept = pq.read_table(output / "data" / "train.parquet").to_pylist()
    for row in kept:
        assert row["instruction"].strip()
        assert row["response"].strip()
        assert not restates(row["response"], row["instruction"])
    rejected = pq.read_table(output / "data" / "rejected.parquet").to_pylist() if not kept else []
    assert kept or rejected  # whatever such a model writes, each proposal has an end with its reason
    assert all(row["reason"] for row in rejected)
