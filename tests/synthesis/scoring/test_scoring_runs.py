"""Whole runs with synthesis.scoring=probability in the simulated world: the same bytes however they are made, and what is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import simulated_runs
from simulated_runs import NAMES, rows, run, seeds_of_a_world
from test_kills import SERVER, stats
from test_synthesis_app import command, data_bytes, finish, free_port, serving

from gra.compare.report.browse import browsed
from gra.errors import ServerError
from gra.simulation.world import final_answer, parse
from gra.synthesis.engine.journal_read import read_calls, read_samples
from gra.synthesis.output.inspect import main as inspect
from gra.synthesis.shard import run as run_shard


def config(world: Path, concurrency: int = 64, **synthesis: Any) -> dict[str, Any]:
    sizes = {"rounds": 2, "samples_per_round": 20}
    return simulated_runs.config(world, concurrency, **{"scoring": "probability", **sizes, **synthesis})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seeds_of_a_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def made(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(config(world), tmp_path_factory.mktemp("made") / "data")


def test_the_data_are_the_same_at_concurrency_1_and_64(world: Path, made: Path, tmp_path: Path) -> None:
    assert data_bytes(run(config(world, concurrency=1), tmp_path / "data")) == data_bytes(made)


def test_a_run_made_again_from_its_journal_asks_nothing(world: Path, made: Path, tmp_path: Path) -> None:
    given = config(world)
    given["runtime"]["reuse"] = [str(made)]
    again = run(given, tmp_path / "data")
    assert data_bytes(again) == data_bytes(made)
    assert json.loads((again / "run.json").read_text())["asked"] == 0


def test_shards_give_the_bytes_of_one_run(world: Path, made: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        for index in range(2):
            given = config(world)
            earlier = [str(tmp_path / "shards" / str(k)) for k in range(number)]
            given["runtime"] |= {"reuse": earlier}
            given["shard"] = {"round": number, "index": index, "count": 2}
            folder = tmp_path / "shards" / str(number) / str(index)
            folder.mkdir(parents=True)
            run_shard(given, {"previous": tmp_path / "shards/merged"} if number == 2 else {}, folder)
        merged = config(world, rounds=number)
        merged["runtime"]["reuse"] = [str(tmp_path / "shards")]
        folder = run(merged, tmp_path / ("shards/merged" if number == 1 else "data"))
    assert data_bytes(tmp_path / "data") == data_bytes(made)
    asked = json.loads((tmp_path / "data" / "run.json").read_text())
    assert asked["replayed"] > 4 * asked["asked"]
    journals = sorted((tmp_path / "shards" / "1").rglob("journal.sqlite"))
    one, two = ({sample for sample, _ in read_samples(path) if sample.startswith("r1-")} for path in journals)
    assert one
    assert two
    assert not one & two


def test_messages_before_the_sample_are_the_same_for_a_round_and_domain(made: Path) -> None:
    heads: dict[tuple[str, str, str], set[str]] = {}
    for row in (*rows(made), *rows(made, "rejected.parquet")):
        for call in read_calls(made / "journal.sqlite", row["id"]):
            if call["step"] in ("check", "review"):
                *before, _ = call["request"]["messages"]
                assert len(before) == 12
                heads.setdefault((row["round"], row["domain"], call["step"]), set()).add(json.dumps(before))
    assert len(heads) > 10
    assert {len(found) for found in heads.values()} == {1}
    assert len({text for found in heads.values() for text in found}) == len(heads)


def test_what_is_kept_has_scores_of_probabilities_and_is_mostly_right(made: Path) -> None:
    kept = rows(made)
    assert len(kept) == 40
    for row in kept:
        reviews = json.loads(row["reviews_json"])
        assert all(review["scores"] is None or list(review["scores"]) == ["overall"] for review in reviews)
        values = [review["scores"]["overall"] for review in reviews if review["scores"]]
        assert row["mean"] == pytest.approx(sum(values) / len(values))
        assert [score["score"] for score in row["scores"] if score["score"] is not None] == values
        assert {score["correctness"] for score in row["scores"]} == {None}
        assert browsed(row, kept=True)["reviews"][0]["score"] == row["scores"][0]["score"]
    told = json.loads((made / "stats.json").read_text())
    health = told["health"]
    assert 0 < told["krippendorff_alpha"] < 1
    assert health["reviewers"]["slm-d"]["severity"] < health["reviewers"]["slm-e"]["severity"]  # d is lenient, e harsh
    assert {reviewer["equal"] for reviewer in health["reviewers"].values()} == {None}  # one score cannot be six alike
    assert max(reviewer["constant"] for reviewer in health["reviewers"].values()) < 0.9
    assert {kind for steps in told["replies"].values() for kind in steps["review"]["unusable"]} == {"no_choice"}
    assert told["missing_verdicts"] > 0
    assert {steps["probabilities"]["calls"] for steps in told["replies"].values()} == {1}
    assert "probability" in (made / "README.md").read_text()
    wrong = [
        row for row in kept if (known := parse(row["instruction"])) and final_answer(row["response"]) != known.answer
    ]
    assert len(wrong) < 0.25 * len(kept)


def test_inspect_shows_the_scores_and_the_questions(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = next(row for row in rows(made) if json.loads(row["reviews_json"])[0]["scores"] is not None)
    inspect([str(made)])
    inspect([str(made), "--sample", row["id"]])
    shown = capsys.readouterr().out
    score = json.loads(row["reviews_json"])[0]["scores"]["overall"]
    assert f"{row['reviewers'][0]}: overall {score}" in shown
    assert "sound yes" in shown
    assert "Does the response answer the instruction correctly?" in " ".join(shown.split())


def test_six_questions_fill_the_columns_of_the_dimensions(world: Path, tmp_path: Path) -> None:
    folder = run(config(world, rounds=1, samples_per_round=5, questions="dimensions"), tmp_path / "data")
    for row in rows(folder):
        for score in row["scores"]:
            assert score["score"] is None or 0 < score["correctness"] < 10


def test_a_server_without_probabilities_ends_the_run_before_anything_is_paid(world: Path, tmp_path: Path) -> None:
    port = free_port()
    for url in serving([sys.executable, str(SERVER), str(port)], port):
        given = config(world)
        given["pool"] = {"_target_": "gra.models.openai.backend.connect", "base_url": url, "models": NAMES}
        with pytest.raises(ServerError, match=r"(?s)returns no token probabilities.*synthesis\.scoring=text"):
            run(given, tmp_path / "data")
        given["shard"] = {"round": 1, "index": 0, "count": 2}
        (tmp_path / "shard").mkdir()
        with pytest.raises(ServerError, match="returns no token probabilities"):
            run_shard(given, {}, tmp_path / "shard")
        assert stats(url)["calls"] <= 2 * len(NAMES)  # of one token each


@pytest.mark.slow
def test_a_killed_run_goes_on_and_gives_the_same_data(world: Path, tmp_path: Path) -> None:
    port = free_port()
    for url in serving([sys.executable, "-m", "gra.simulation.server", "--port", str(port), "--latency", "0.02"], port):
        whole = finish(command(world, url, tmp_path / "whole", "synthesis.scoring=probability"), tmp_path)
        assert whole.returncode == 0, whole.stderr
        words = command(world, url, tmp_path / "killed", "synthesis.scoring=probability")
        journal = tmp_path / "killed.partial" / "journal.sqlite"
        for seconds in (0.8, 0.4):
            with subprocess.Popen(words, cwd=tmp_path, start_new_session=True, stderr=subprocess.DEVNULL) as process:
                while process.poll() is None and not journal.exists():
                    time.sleep(0.02)
                time.sleep(seconds)
                os.killpg(process.pid, signal.SIGKILL)
        done = finish(words, tmp_path)
        assert done.returncode == 0, done.stderr
        assert data_bytes(tmp_path / "killed") == data_bytes(tmp_path / "whole")
        assert json.loads((tmp_path / "killed" / "run.json").read_text())["replayed"] > 0
