"""A whole run, as a command, with models that think aloud, run past their end, refuse, lose backslashes: nothing of it reaches
the data, all of it is told on the terminal, in stats.json and in the card; and every call that was paid is accounted for."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from test_synthesis_app import command, finish, free_port, serving

CONCURRENCY = 32


@pytest.mark.slow
def test_nothing_odd_reaches_the_data_and_all_of_it_is_told(tmp_path: Path) -> None:
    from gra.simulation.world_stage import run

    (tmp_path / "world").mkdir()
    run({"seed": 0, "world": {"seeds": 60, "test_per_task": 5}}, {}, tmp_path / "world")
    seeds, port = tmp_path / "world" / "seeds" / "seeds.jsonl", free_port()
    more = [
        "synthesis.rounds=1",
        "synthesis.samples_per_round=16",
        "synthesis.tau=5",
        "synthesis.min_reviews=1",
        "seeds.limit=20",
    ]
    for url in serving([sys.executable, str(Path(__file__).with_name("odd_server.py")), str(port)], port):
        done = finish(command(seeds, url, tmp_path / "a", *more, f"runtime.concurrency={CONCURRENCY}"), tmp_path)
        assert done.returncode == 0, done.stderr
        with urllib.request.urlopen(url.removesuffix("/v1") + "/answered", timeout=10) as answer:
            answered = json.load(answer)

    rows = pq.read_table(tmp_path / "a" / "data" / "train.parquet").to_pylist()
    assert {row["generator"] for row in rows} >= {"slm-a", "slm-d", "slm-e"}
    rows += pq.read_table(tmp_path / "a" / "rejected.parquet").to_pylist()
    for row in rows:
        whole = json.dumps(row, ensure_ascii=False)
        assert not re.search(r"think>|<\||user\\n", whole), whole
        assert not re.search(r"[\x08\x0c\t]", row["instruction"] + row["response"]), row
    assert any(r"$\frac{1}{2} \times 3$" in row["instruction"] for row in rows if row["generator"] == "slm-c")
    assert all(("Given: 7" in row["instruction"]) == (r"\frac" in row["instruction"]) for row in rows)

    stats, account = (json.loads((tmp_path / "a" / name).read_text()) for name in ("stats.json", "run.json"))
    seen = {
        model: {kind: _sum(steps, kind) for kind in ("unusable", "noted")} for model, steps in stats["replies"].items()
    }
    assert seen["slm-a"]["noted"].keys() >= {"reasoning cut off", "control_tokens cut off"}
    assert (
        stats["refused"]["slm-b"]["refused"]
        == stats["refused"]["slm-b"]["calls"]
        == seen["slm-b"]["unusable"]["refused"]
    )
    assert "no credits are left" in stats["refused"]["slm-b"]["words"]
    assert seen["slm-c"]["unusable"]["cut_off"] > 0
    assert seen["slm-c"]["noted"].keys() >= {"backslashes restored", "joined `input`", "field `mood`"}
    assert seen["slm-d"]["noted"].keys() == {"finish `ended_by_wish`"}
    assert seen["slm-e"]["noted"] == {}

    card = (tmp_path / "a" / "README.md").read_text()
    unusable = r"> \*\*slm-b: (\d+) of \1 replies are unusable \(refused \1\); the first refusal: .*no credits are left"
    assert re.search(unusable, card)
    assert done.stderr.count("no credits are left") >= 2  # when it is first met, and at the end
    assert done.stderr.count("unknown finish reason `ended_by_wish`") == 1
    assert done.stderr.count("model slm-c: gives an unexpected field, `mood`") == 1

    cancelled = (
        answered - stats["calls"] - account["in_vain"]["calls"]
    )  # in flight at the end; a server may answer those too
    assert 0 <= cancelled <= CONCURRENCY
    vain = sum(use["calls"] for use in account["in_vain"]["by_model"].values())
    assert vain == account["in_vain"]["calls"] > 0
    assert f"{vain:,} calls of proposals that were started but not needed" in done.stderr


def _sum(steps: dict[str, dict[str, dict[str, int]]], kind: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for step in steps.values():
        for name, count in step[kind].items():
            found[name] = found.get(name, 0) + count
    return found
