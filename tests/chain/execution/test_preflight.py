"""What is outside the config is looked at first, all of it at once, over all steps: before anything is created or paid."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from counting_server import Counting, counting

from gra import hub
from gra.chain.execution.preflight import writable_problems

MODELS = "slm-a,slm-b,slm-c,slm-d,slm-e"
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


@pytest.fixture(scope="module")
def server() -> Iterator[Counting]:
    with counting() as found:
        yield found


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", *words],
        cwd=folder,
        env={**ENVIRONMENT, "HF_HOME": str(folder / "hf")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def seeds(folder: Path) -> Path:
    path = folder / "mine.jsonl"
    records = [{"instruction": f"Question {i}?", "output": str(i)} for i in range(5)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.slow
def test_a_stage_by_itself_tells_all_of_it_and_creates_nothing(tmp_path: Path, server: Counting) -> None:
    bench = tmp_path / "bench" / "gsm8k" / "test.jsonl"
    bench.parent.mkdir(parents=True)
    bench.write_text('{"problem": "not as the hub has it"}\n')
    (tmp_path / "file").write_text("in the way")
    done = command(
        tmp_path,
        "gra.synthesis",
        "seeds=custom",
        f"seeds.path={seeds(tmp_path)}",
        "+seeds.columns.instruction=wrong_column",
        "pool=servers",
        f"pool.base_url={server.url}",
        f"pool.models=[{MODELS},slm-z]",
        "synthesis.tau=11",
        f"synthesis.decontaminate.data_dir={tmp_path / 'bench'}",
        "output=file/below",
    )
    assert done.returncode == 2, done.stderr
    for expected in ("does not list `slm-z`", "slm-a, slm-b", "wrong_column", "file is not a folder", "synthesis.tau"):
        assert expected in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bench", "file", "mine.jsonl"]
    assert server.total == 0
    done = command(
        tmp_path,
        "gra.synthesis",
        "seeds=custom",
        f"seeds.path={seeds(tmp_path)}",
        "pool=servers",
        f"pool.base_url={server.url}",
        f"pool.models=[{MODELS}]",
        f"synthesis.decontaminate.data_dir={tmp_path / 'bench'}",
        "synthesis.dedup.model=no/such-model",
        "output=out",
    )
    assert done.returncode == 2, done.stderr
    for expected in ("test.jsonl, line 1", "no/such-model is not in the cache", "HF_HUB_OFFLINE"):
        assert expected in done.stderr
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.slow
def test_faults_of_the_last_step_are_told_before_the_first_one_buys_a_call(tmp_path: Path, server: Counting) -> None:
    words = [
        "gra.cli",
        "run",
        "experiment=my_seeds",
        f"seeds.path={seeds(tmp_path)}",
        f"pool.base_url={server.url}",
        f"pool.models=[{MODELS},slm-z]",
        "student.model=no/such-student",
        "synthesis.dedup.model=hash",
    ]
    done = command(tmp_path, *words)
    assert done.returncode == 2, done.stderr
    for expected in (
        "pool.models (command line: pool.models=[",
        "does not list `slm-z`",
        "[steps single/data, gra/probe, gra/data]",
        "student.model (command line",
        "no/such-student is not in the cache",
        "gsm8k: the data set openai/gsm8k",
        "ifeval: ",
        "suite.data_dir=DIR",
        "seed_only/scores",
    ):
        assert expected in done.stderr, done.stderr
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "results").exists()
    assert server.total == 0

    missing = command(tmp_path, *words, "suite.data_dir=nowhere")
    assert "no such folder: nowhere" in missing.stderr
    assert "does not list `slm-z`" in missing.stderr  # of the other steps
    assert "openai/gsm8k" not in missing.stderr
    data = tmp_path / "bench"
    for name in ("gsm8k/test", "gsm8k/train", "ifeval/train"):
        path = data / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"question": "Zebra?", "answer": "#### 1", "key": 1, "prompt": "Quagga?"}\n')
    (data / "ifeval" / "train.jsonl").write_text("{torn")
    torn = command(tmp_path, *words, "suite.data_dir=bench")  # the advice, with a spoilt file
    assert "openai/gsm8k" not in torn.stderr
    assert "train.jsonl, line 1" in torn.stderr
    assert server.total == 0


@pytest.mark.slow
def test_a_server_that_is_not_up_yet_stops_nothing_by_itself(tmp_path: Path, free_port: int) -> None:
    words = [
        "gra.synthesis",
        "seeds=custom",
        f"seeds.path={seeds(tmp_path)}",
        "pool=servers",
        f"pool.models=[{MODELS}]",
        f"pool.base_url=http://127.0.0.1:{free_port}/v1",
        "synthesis.dedup.model=hash",
        "runtime.startup_wait_s=1",
        "output=out",
    ]
    alone = command(tmp_path, *words)
    assert alone.returncode == 1, alone.stderr
    assert f"note: pool.base_url: http://127.0.0.1:{free_port}/v1 does not answer" in alone.stderr
    assert "no answer within 1 s" in alone.stderr
    both = command(tmp_path, *words, "synthesis.tau=11")
    assert both.returncode == 2
    assert "2 problems" in both.stderr
    assert "does not answer" in both.stderr


@pytest.fixture
def hub_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and asking the hub allowed."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    hub._fault.cache_clear()
    return tmp_path


def snapshot(home: Path, kind: str, name: str, file: str) -> None:
    folder = home / "hub" / f"{kind}s--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "snapshots" / "abc" / file).write_text("{}")


def test_what_is_in_the_cache_needs_no_hub(hub_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in str(hub.hub_problem("k", "owner/model"))
    hub._fault.cache_clear()
    snapshot(hub_home, "model", "owner/model", "config.json")
    snapshot(hub_home, "model", "owner/half", "README.md")
    snapshot(hub_home, "dataset", "owner/set", "data.parquet")
    (hub_home / "datasets" / "owner___prepared_set").mkdir(parents=True)
    assert hub.hub_problem("k", "owner/model") is None
    assert hub.hub_problem("k", "owner/model", revision="abc") is None
    assert hub.hub_problem("k", "owner/model", revision="other") is not None
    assert hub.hub_problem("k", "owner/half") is not None
    assert hub.hub_problem("k", "owner/set", "dataset") is None
    assert hub.hub_problem("k", "owner/prepared_set", "dataset") is None
    assert hub.hub_problem("k", "owner/set") is not None


def test_the_hub_is_asked_what_it_has(hub_home: Path, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub of this test's own, with the answers of the real one's API."""
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    from huggingface_hub import constants

    assert hub_home
    faults = {
        "/api/models/owner/gone": (404, "RepoNotFound"),
        "/api/models/owner/gated/auth-check": (403, "GatedRepo"),
        "/api/models/owner/there/revision/old": (404, "RevisionNotFound"),
        "/api/models/owner/ill": (500, ""),
    }

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, code = faults.get(self.path.partition("?")[0], (200, ""))
            body = json.dumps({"id": "owner/x", "gated": "gated" in self.path, "private": False, "tags": []}).encode()
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{free_port}")
    refused = hub.hub_problem("k", "owner/unreachable")
    assert refused is not None
    assert "cannot be reached" in refused.message
    with HTTPServer(("127.0.0.1", free_port), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = {
            name: hub.hub_problem("k", f"owner/{name}", revision="old" if name == "there" else None)
            for name in ("fine", "gone", "gated", "there", "ill")
        }
        data = hub.hub_problem("k", "owner/data", "dataset")
        server.shutdown()
    assert found.pop("fine") is None
    assert data is None
    expected = {
        "gone": "hub has no model",
        "gated": "accept its terms",
        "there": "at revision old",
        "ill": "hub refused",
    }
    assert {name: expected[name] in str(problem) for name, problem in found.items()} == dict.fromkeys(expected, True), (
        found
    )


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert writable_problems("output", tmp_path / "new" / "deeper") == []
    for name in ("file", "file/below/deeper", "dangling/x"):
        assert [p.key for p in writable_problems("output", tmp_path / name)] == ["output"]
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.geteuid() != 0:  # root may write anywhere
        assert len(writable_problems("output", locked / "x")) == 1
