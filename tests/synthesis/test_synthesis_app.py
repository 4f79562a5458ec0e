"""The stage as a command, over real HTTP: same bytes at any concurrency, after kills, and a clear account where nothing works."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
MODELS = "pool.models=[slm-a,slm-b,slm-c,slm-d,slm-e]"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serving(command: list[str], port: int) -> Iterator[str]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(300):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.kill()


@pytest.fixture(scope="module")
def simulated_server() -> Iterator[str]:
    port = free_port()
    yield from serving([sys.executable, "-m", "gra.simulation.server", "--port", str(port), "--latency", "0.01"], port)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A seed file from the simulated world, whose models can only talk of it."""
    from gra.simulation.world_stage import run

    folder = tmp_path_factory.mktemp("world")
    run({"seed": 0, "world": {"seeds": 60, "test_per_task": 5}}, {}, folder)
    return folder / "seeds" / "seeds.jsonl"


def command(seeds: Path, url: str, output: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "gra.synthesis",
        "seeds=world",
        f"seeds.path={seeds}",
        "seeds.limit=40",
        "pool=servers",
        f"pool.base_url={url}",
        MODELS,
        "synthesis.rounds=2",
        "synthesis.samples_per_round=20",
        "synthesis.dedup.model=hash",
        f"output={output}",
        *more,
    ]


def finish(words: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, cwd=cwd, timeout=300, check=False)


def data_bytes(folder: Path) -> dict[str, str]:
    names = ("data/train.parquet", "rejected.parquet", "stats.json", "README.md")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


@pytest.mark.slow
def test_same_bytes_at_concurrency_1_and_64_and_after_kills(tmp_path: Path, seeds: Path, simulated_server: str) -> None:
    alone = finish(command(seeds, simulated_server, tmp_path / "a", "runtime.concurrency=1"), tmp_path)
    assert alone.returncode == 0, alone.stderr
    crowd = finish(command(seeds, simulated_server, tmp_path / "b", "runtime.concurrency=64"), tmp_path)
    assert crowd.returncode == 0, crowd.stderr
    assert data_bytes(tmp_path / "a") == data_bytes(tmp_path / "b")

    words = command(seeds, simulated_server, tmp_path / "c", "runtime.concurrency=2")
    kills, rng = 0, random.Random(0)
    while kills < 6:
        with (
            (tmp_path / "log").open("wb") as log,
            subprocess.Popen(words, cwd=tmp_path, start_new_session=True, stderr=log) as run,
        ):
            try:
                run.wait(timeout=1.2 + 1.5 * rng.random())
            except subprocess.TimeoutExpired:
                os.killpg(run.pid, signal.SIGKILL)
                kills += 1
                continue
        break
    assert kills >= 2
    last = finish(words, tmp_path)
    assert last.returncode == 0, last.stderr
    assert data_bytes(tmp_path / "a") == data_bytes(tmp_path / "c")
    assert not (tmp_path / "c.partial").exists()
    again = finish(words, tmp_path)
    assert again.returncode == 0
    assert data_bytes(tmp_path / "a") == data_bytes(tmp_path / "c")


@pytest.mark.slow
def test_what_the_folder_holds(tmp_path: Path, seeds: Path, simulated_server: str) -> None:
    from datasets import load_dataset

    out = tmp_path / "out"
    done = finish(command(seeds, simulated_server, out), tmp_path)
    assert done.returncode == 0, done.stderr
    data = load_dataset(str(out), cache_dir=str(tmp_path / "cache"))["train"]
    assert len(data) == 40
    assert data[0]["messages"] == [
        {"role": "user", "content": data[0]["instruction"]},
        {"role": "assistant", "content": data[0]["response"]},
    ]
    assert json.loads((out / "run.json").read_text())["peak_rss_mb"] < 150  # the process that drives the calls
    rejected = pq.read_table(out / "rejected.parquet").to_pylist()
    assert all(row["reason"] for row in rejected)
    stats = json.loads((out / "stats.json").read_text())
    assert stats["proposals"] == len(data) + len(rejected)
    assert stats["kept"] == 40
    assert sum(stats["reasons"].values()) == len(rejected)
    asked = sum(use["calls"] for roles in stats["tokens"].values() for use in roles.values())
    assert asked == stats["calls"]

    sample = next(row for row in rejected if row["reason"] == "below_tau")["id"]
    shown = finish([str(Path(sys.executable).with_name("gra")), "inspect", str(out), "--sample", sample], tmp_path)
    assert shown.returncode == 0, shown.stderr
    for text in ("keywords / generator", "review / reviewer-3", "# Task: review a response", "dropped: below_tau"):
        assert text in shown.stdout


@pytest.mark.slow
def test_a_server_that_refuses_schemas_is_asked_in_plain_text(tmp_path: Path, seeds: Path) -> None:
    port = free_port()
    words = [sys.executable, "-m", "gra.simulation.server", "--port", str(port), "--refuse-schema"]
    for url in serving(words, port):
        done = finish(command(seeds, url, tmp_path / "out", "synthesis.rounds=1"), tmp_path)
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / "out" / "stats.json").read_text())["kept"] == 20


@pytest.mark.slow
def test_alpaca_seeds_against_a_server_of_known_latency(tmp_path: Path) -> None:
    script, alpaca = (
        SHARED / "bench" / "fake_llm_server.py",
        SHARED / "data" / "seeds" / "alpaca" / "alpaca_data.json.gz",
    )
    if not script.is_file() or not alpaca.is_file():
        pytest.skip(f"needs {script} and {alpaca}")
    port = free_port()
    for url in serving([sys.executable, str(script), str(port), "--latency", "0.005"], port):
        words = [
            sys.executable,
            "-m",
            "gra.synthesis",
            f"seeds.path={alpaca}",
            "pool=servers",
            f"pool.base_url={url}",
            MODELS,
            "seeds.limit=300",
            "synthesis.rounds=2",
            "synthesis.samples_per_round=100",
            f"output={tmp_path / 'out'}",
        ]
        done = finish(words, tmp_path)
        assert done.returncode == 0, done.stderr
    stats = json.loads((tmp_path / "out" / "stats.json").read_text())
    assert stats["kept"] == 200
    assert stats["missing_verdicts"] == 0
    card = (tmp_path / "out" / "README.md").read_text()
    assert "license: cc-by-nc-4.0" in card


@pytest.mark.slow
def test_a_real_server_that_ignores_the_schema_ends_in_a_clear_account(
    tmp_path: Path, seeds: Path, transformers_serve: Any
) -> None:
    url, model = transformers_serve.base_url, transformers_serve.model
    words = [
        sys.executable,
        "-m",
        "gra.synthesis",
        "seeds=world",
        f"seeds.path={seeds}",
        "seeds.limit=4",
        "pool=servers",
        f"pool.base_url={url}",
        f"pool.models=[{model}]",
        "synthesis.roles=single",
        "synthesis.rounds=1",
        "synthesis.samples_per_round=3",
        "synthesis.max_proposals=4",
        "synthesis.parse_retries=1",
        "synthesis.dedup.model=hash",
        f"output={tmp_path / 'out'}",
        "synthesis.decoding.annotate_seed.max_tokens=24",
        "synthesis.decoding.keywords.max_tokens=24",
    ]
    done = finish(words, tmp_path)
    assert done.returncode == 1
    assert "none of 4 seeds could be annotated" in done.stderr
    assert "Missing replies are not replaced" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
    partial = tmp_path / "out.partial"
    assert pq.read_table(partial / "data" / "train.parquet").num_rows == 0
    assert json.loads((partial / "stats.json").read_text())["kept"] == 0


def test_all_faults_of_a_configuration_at_once_before_any_work(tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "gra.synthesis",
        f"seeds.path={tmp_path / 'missing.json'}",
        "pool=servers",
        "pool.base_url=http://127.0.0.1:9/v1",
        "pool.models=[a,b,c]",
        "synthesis.min_reviews=4",
        "synthesis.tau=11",
        f"output={tmp_path / 'out'}",
    ]
    done = finish(words, tmp_path)
    assert done.returncode == 2
    for text in ("synthesis.tau", "seeds.path", "missing.json"):
        assert text in done.stderr
    done = finish([word for word in words if "tau" not in word], tmp_path)
    for text in ("synthesis.reviewers", "need 5 models", "synthesis.min_reviews", "missing.json"):
        assert text in done.stderr
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()
