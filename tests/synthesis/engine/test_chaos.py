"""A server that fails on some requests for good: what that costs the samples, and that it does not cost the run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from test_synthesis_app import MODELS, SHARED, finish, free_port, serving

SERVER = SHARED / "bench" / "fake_llm_server.py"
IN_FLIGHT = 16


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
        "synthesis.rounds=2",
        "synthesis.samples_per_round=120",
        "synthesis.dedup.model=hash",
        f"output={output}",
        f"runtime.concurrency={IN_FLIGHT}",
    ]


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    if not SERVER.is_file():
        pytest.skip(f"needs {SERVER}")
    path = tmp_path / "seeds.jsonl"
    path.write_text(
        "".join(json.dumps({"instruction": f"Explain item {i}.", "output": f"Item {i}."}) + "\n" for i in range(60))
    )
    return path


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
    assert (
        "too_few_checks" not in account["reasons"]
        or account["reasons"]["too_few_checks"] < account["missing_verdicts"] / 4
    )
