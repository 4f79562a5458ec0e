"""A whole run, as a command, with a server that hangs, breaks off, floods and goes away: it ends complete, the bytes the same."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

import pytest
from test_synthesis_app import command, data_bytes, finish, free_port, serving

OUTAGE_S = 30.0


@pytest.mark.slow
def test_a_run_ends_complete_whatever_its_server_does(tmp_path: Path) -> None:
    from gra.simulation.world_stage import run

    (tmp_path / "world").mkdir()
    run({"seed": 0, "world": {"seeds": 60, "test_per_task": 5}}, {}, tmp_path / "world")
    seeds = tmp_path / "world" / "seeds" / "seeds.jsonl"
    port = free_port()
    for url in serving([sys.executable, "-m", "gra.simulation.server", "--port", str(port)], port):
        quiet = finish(command(seeds, url, tmp_path / "quiet", "synthesis.rounds=1"), tmp_path)
        assert quiet.returncode == 0, quiet.stderr
    port = free_port()
    for url in serving(
        [sys.executable, str(Path(__file__).with_name("troubled_server.py")), str(port), str(OUTAGE_S)], port
    ):
        speed = ["synthesis.rounds=1", "runtime.timeout_s=2", "runtime.timeout_per_token_s=0", "runtime.concurrency=16"]
        done = finish(command(seeds, url, tmp_path / "troubled", *speed), tmp_path)
        assert done.returncode == 0, done.stderr
        with urllib.request.urlopen(url.removesuffix("/v1") + "/troubles", timeout=10) as answer:
            did = json.load(answer)
    assert all(did[kind] > 0 for kind in ("hangs", "cut", "busy", "no_utf8", "no_choices", "flood", "outages")), did
    assert "is set aside" in done.stderr
    assert "is back" in done.stderr
    assert data_bytes(tmp_path / "quiet") == data_bytes(tmp_path / "troubled")
    stats = json.loads((tmp_path / "troubled" / "stats.json").read_text())
    assert stats["missing_verdicts"] == json.loads((tmp_path / "quiet" / "stats.json").read_text())["missing_verdicts"]
