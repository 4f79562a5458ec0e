"""After a run: the estimated share right of what the committee accepted covers the truth of the simulated world."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from benchmarks.probe_worlds import one_world
from gra.errors import StoreError
from gra.simulation import world_stage
from gra.synthesis import stage
from gra.synthesis.output.card import CardInfo, card_text
from gra.synthesis.probe import stage as probe_stage
from gra.synthesis.probe.after_run import estimate, read_probe
from gra.synthesis.seeds.load import SeedSettings, load_seeds

SOURCES = {"sources": [{"_target_": "gra.simulation.known.source"}], "calls": 120}
COLUMNS = {"instruction": "instruction", "input": "input", "response": "output", "domain": "domain"}


def config(**synthesis: Any) -> dict[str, Any]:
    return {
        "seed": 0,
        "seeds": {"path": "seeds/seeds.jsonl", "format": "jsonl", "limit": 200, "columns": COLUMNS},
        "pool": {
            "_target_": "gra.simulation.backend.connect",
            "models": [f"slm-{m}" for m in "abcde"],
            "simulated": True,
        },
        "synthesis": {
            "rounds": 1,
            "samples_per_round": 20,
            "dedup": {"model": "hash"},
            "decontaminate": {"enabled": False},
            **synthesis,
        },
        "runtime": {"concurrency": 16},
    }


def test_the_estimate_stands_in_stats_and_card(tmp_path: Path) -> None:
    for name in ("world", "probe", "off", "data", "plain"):
        (tmp_path / name).mkdir()
    world_stage.run({"seed": 0, "world": {"seeds": 400}}, {}, tmp_path / "world")
    seeds = {"seeds": tmp_path / "world"}
    probe_stage.run({**config(probe="warn"), "probe": SOURCES}, seeds, tmp_path / "probe")
    stage.run(config(), {**seeds, "probe": tmp_path / "probe"}, tmp_path / "data")
    stats = json.loads((tmp_path / "data" / "stats.json").read_text())
    said = stats["probe"]["estimate"]
    assert said["accepted"] == stats["accepted"]
    assert said["reviewed"] == stats["accepted"] + sum(
        stats["reasons"].get(r, 0) for r in ("below_tau", "adjudicated_out")
    )
    assert 0.5 < said["right_of_accepted"]["low"] <= said["right_of_accepted"]["high"] <= 1
    card = (tmp_path / "data" / "README.md").read_text()
    assert f"accepted ones, by the probe of the committee: {said['right_of_accepted']['value']:.0%} [" in card

    probe_stage.run({**config(), "probe": SOURCES}, seeds, tmp_path / "off")  # of a simulated pool: off
    stage.run(config(), {**seeds, "probe": tmp_path / "off"}, tmp_path / "plain")
    plain = json.loads((tmp_path / "plain" / "stats.json").read_text())
    assert "probe" not in plain
    assert {**plain, "probe": stats["probe"]} == stats
    assert (tmp_path / "plain/data/train.parquet").read_bytes() == (tmp_path / "data/data/train.parquet").read_bytes()


def test_a_folder_that_is_no_probe_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"inputs\.probe=DIR"):
        read_probe(tmp_path)
    (tmp_path / "probe.json").write_text("[]")
    with pytest.raises(StoreError, match="not the result of a probe"):
        read_probe(tmp_path)
    assert read_probe(None) is None


def test_where_the_gate_is_a_coin_nothing_is_estimated() -> None:
    blind = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 50}
    gate = {"sensitivity": blind, "specificity": blind, "independent_items": [50, 50], "on_policy": True}
    probe = {"models": {}, "faults": ["blind"], "gate": gate}
    said = estimate(probe, {"accepted": 10, "reasons": {"below_tau": 10}})
    assert said["estimate"]["right_of_accepted"] is None
    assert "no better than chance" in said["words"]
    said = estimate({**probe, "gate": None}, {"accepted": 10})
    assert said["estimate"] is None
    card = card_text(CardInfo("s", license=None), {"kept": 10, "proposals": 20, "probe": said})
    assert "the share of right samples among the accepted ones is unknown" in card
    assert "> **Probe: blind**" in card


@pytest.mark.slow
def test_the_estimate_covers_the_truth_in_nine_of_ten_worlds(tmp_path: Path) -> None:
    """A dozen of the worlds of benchmarks/probe_worlds.py, where a hundred are made."""
    (tmp_path / "world").mkdir()
    world_stage.run({"seed": 0, "world": {"seeds": 800}}, {}, tmp_path / "world")
    found = load_seeds(
        SeedSettings(path=str(tmp_path / "world/seeds/seeds.jsonl"), format="jsonl", columns=COLUMNS, limit=600), 0
    )
    worlds = [one_world(number, found.seeds, calls=120, proposals=120) for number in range(12)]
    assert sum(world.covers for world in worlds) >= 10
    # the median: in one world of about twelve the gate is little better than a coin, and its interval is wide for that reason
    assert median(world.high - world.low for world in worlds) < 0.3
