"""A synthesis's W&B run, read back: its funnel and agreement over the proposals, its final numbers, its seeds and its data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import wandb_offline

from gra import tracked_files
from gra.chain.execution.runner import run_in_folder
from gra.chain.stage import load_stage
from gra.chain.store import manifest
from gra.fileio import read_json
from gra.synthesis.config import parsed
from gra.synthesis.output import tracking

SEEDS = {
    "name": "world",
    "path": "seeds/seeds.jsonl",
    "format": "jsonl",
    "limit": 30,
    "max_bad": 0,
    "license": "cc0-1.0",
    "columns": {"instruction": "instruction", "input": "input", "response": "output", "domain": "domain"},
}
POOL = {
    "_target_": "gra.simulation.backend.connect",
    "models": [{"name": f"slm-{letter}", "parameters": 8} for letter in "abcde"],
    "simulated": True,
    "world_seed": 0,
}
LONG = "an experiment of a very long name " * 8


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "world"
    config = {"seed": 0, "world": {"seeds": 40, "test_per_task": 5}}
    return run_in_folder(load_stage("gra.simulation.world_stage.run"), config, {}, {}, folder).folder


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    keys = {
        "mode": "offline",
        "project": "a/b",
        "group": LONG,
        "name": "gra-seed0",
        "tags": ["quickstart", None, LONG],
    }
    return {
        "seed": 0,
        "seeds": SEEDS,
        "pool": POOL,
        "synthesis": {"rounds": 2, "samples_per_round": 15, "dedup": {"model": "hash"}},
        "runtime": {"concurrency": 16, "tracking": keys},
    }


@pytest.fixture(scope="module")
def data(config: dict[str, Any], world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    stage, inputs = load_stage("gra.synthesis.stage.run"), {"seeds": world}
    assert stage.check(config, dict(inputs)) == []
    hashes = {name: manifest.outside_hash(path) for name, path in inputs.items()}
    return run_in_folder(stage, config, inputs, hashes, tmp_path_factory.mktemp("runs") / "data").folder


@pytest.fixture(scope="module")
def run(data: Path) -> wandb_offline.OfflineRun:
    return wandb_offline.read(data)


def test_names_are_cut_to_the_limits_of_wandb(run: wandb_offline.OfflineRun) -> None:
    assert (run.project, run.name, run.job_type, run.exit_code) == ("a-b", "gra-seed0", "synthesis", 0)
    assert len(run.group) == 128
    assert LONG.startswith(run.group[:119])
    assert set(run.tags) >= {"synthesis", "quickstart"}
    assert max(map(len, run.tags)) == 64
    assert len(run.tags) == 3


def test_the_curve_ends_with_the_numbers_of_the_data(run: wandb_offline.OfflineRun, data: Path) -> None:
    stats = read_json(data / "stats.json")
    rows = [row for row in run.history if "synthesis/proposals" in row]
    assert [row["_step"] for row in rows] == [row["synthesis/proposals"] for row in rows]
    assert len(rows) == stats["proposals"]  # fewer than POINTS
    last = rows[-1]
    for key in ("proposals", "kept", "accepted", "adjudicated"):
        assert last[f"synthesis/{key}"] == stats[key]
    assert last["synthesis/keep_rate"] == stats["kept"] / stats["proposals"]
    assert last["synthesis/krippendorff_alpha"] == pytest.approx(stats["krippendorff_alpha"])
    assert last["synthesis/calls"] == sum(one["calls"] for one in stats["rounds"])
    lost = sum(value for key, value in last.items() if key.startswith("synthesis/lost/"))
    assert lost == stats["proposals"] - stats["kept"]


def test_final_numbers_and_rounds(run: wandb_offline.OfflineRun, data: Path) -> None:
    stats = read_json(data / "stats.json")
    for key in ("proposals", "kept", "duplicates", "calls", "krippendorff_alpha", "low_std_share"):
        assert run.summary[f"synthesis/{key}"] == pytest.approx(stats[key])
    assert run.summary["synthesis/tokens_per_kept"] == stats["cost"]["tokens"] / stats["kept"]
    assert run.summary["synthesis/simulated"] == 1
    assert "synthesis/gpu_seconds" not in run.summary  # unknown: never a zero
    (table,) = (json.loads(path.read_text()) for path in data.rglob("rounds_*.table.json"))
    column = table["columns"].index("kept")
    assert [line[column] for line in table["data"]] == [15, 15]


def test_the_config_shows_what_decides_the_data_and_no_places(run: wandb_offline.OfflineRun, tmp_path: Path) -> None:
    assert run.config["models"] == {f"slm-{letter}": 8.0 for letter in "abcde"}
    assert run.config["synthesis"]["samples_per_round"] == 15
    assert str(tmp_path.parent) not in json.dumps(run.config)
    assert "tracking" not in json.dumps(run.config)


def test_seeds_and_data_are_linked_by_the_hashes_of_the_store(
    run: wandb_offline.OfflineRun, data: Path, world: Path
) -> None:
    seeds = run.used["world-seeds"]
    assert (seeds.type, json.loads(seeds.metadata)) == ("seeds", {"hash": manifest.read(world)["hash"]})
    assert [entry.ref for entry in seeds.manifest.contents] == [(world / "seeds" / "seeds.jsonl").as_uri()]
    made = run.logged["data"]
    assert json.loads(made.metadata) == {"hash": manifest.read(data)["hash"]}
    refs = {entry.path: entry.ref for entry in made.manifest.contents}
    assert refs["data/train.parquet"] == (data / "data" / "train.parquet").as_uri()

    tracked_files.use_data(reader := Reader(), "data", data)  # what a training logs that reads the data
    (read,) = reader.artifacts
    assert read.name.split(":")[0] == made.name
    assert {path: entry.digest for path, entry in read.manifest.entries.items()} == wandb_offline.files(made)
    assert read.metadata["hash"] == json.loads(made.metadata)["hash"]


class Reader:
    """A W&B run that keeps the artifacts that are logged to it."""

    def __init__(self) -> None:
        self.artifacts: list[Any] = []

    def _log_artifact(self, artifact: Any, **_: Any) -> None:
        self.artifacts.append(artifact)


def test_seeds_that_are_a_data_folder_are_that_data(config: dict[str, Any], data: Path) -> None:
    for path, place in ((str(data), None), ("data/train.parquet", data)):  # `gra refine`, and its step in an experiment
        given = parsed({**config, "seeds": {**SEEDS, "path": path}})
        tracking._use_seeds(reader := Reader(), given, place)
        (used,) = reader.artifacts
        assert (used.type, used.metadata) == ("dataset", {"input": "seeds", "hash": manifest.read(data)["hash"]})


def test_the_merge_of_a_round_is_no_run(config: dict[str, Any], tmp_path: Path) -> None:
    nothing: Any = None
    tracking.record(parsed(config), tmp_path / "data.shards" / "merged-1.partial", None, nothing, {}, {})
    assert not list(tmp_path.iterdir())
