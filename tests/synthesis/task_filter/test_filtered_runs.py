"""Runs with synthesis.task_labels: rejected instructions cost no further call, are counted, and depend on the labels alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import simulated_runs
from scripted import RECORDS, ROLES, good_reply
from simulated_runs import rows, run, seeds_of_a_world
from test_synthesis_app import command, data_bytes, finish, free_port, serving

from gra.chain.execution.runner import run_in_folder
from gra.chain.stage import load_stage
from gra.errors import ConfigError, SynthesisError
from gra.fileio import sha256_file
from gra.models.base import Reply
from gra.synthesis import refine, stage
from gra.synthesis.committee.calls import Rules
from gra.synthesis.committee.protocol import Proposal, propose
from gra.synthesis.engine.journal_read import read_calls, read_samples
from gra.synthesis.probe import stage as probe
from gra.synthesis.regating.run import RecordedRun
from gra.synthesis.settings import SynthesisSettings
from gra.synthesis.shard import run as run_shard
from gra.synthesis.task_filter.classifier import TaskFilter
from gra.synthesis.task_filter.label_files import read_labels


def config(world: Path, labels: Path | None, concurrency: int = 64, **synthesis: Any) -> dict[str, Any]:
    paths = None if labels is None else [str(labels)]
    filtered = {"rounds": 1, "samples_per_round": 12, "task_labels": paths, "task_threshold": 0.5}
    return simulated_runs.config(world, concurrency, **{**filtered, **synthesis})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seeds_of_a_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def plain(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(config(world, None), tmp_path_factory.mktemp("plain") / "data")


@pytest.fixture(scope="module")
def labels(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels by which only questions are tasks, so that the classifier rejects part of the simulated instructions."""
    path = tmp_path_factory.mktemp("labels") / "labels.jsonl"
    texts = {row["instruction"] for name in ("data/train.parquet", "rejected.parquet") for row in rows(plain, name)}
    known = sorted(text for text in texts if text)
    lines = [{"instruction": text, "task": "?" in text} for text in known]
    lines += [{"instruction": f"How much is {n} and {n + 1}?", "task": True} for n in range(25)]
    lines += [{"instruction": f"There is number {n}.", "task": False} for n in range(25)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def made(world: Path, labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(config(world, labels), tmp_path_factory.mktemp("made") / "data")


def test_rejected_instructions_are_counted_and_cost_no_further_call(made: Path, labels: Path) -> None:
    judge = TaskFilter(read_labels([str(labels)]), 0.5)
    dropped = [row for row in rows(made, "rejected.parquet") if row["reason"] == "unlikely_task"]
    assert dropped
    for row in dropped:
        assert row["detail"] == judge.fault(row["instruction"])
        steps = {call["step"] for call in read_calls(made / "journal.sqlite", row["id"])}
        assert steps == {"keywords", "instruction"}
    assert all(judge.fault(row["instruction"]) is None for row in rows(made, "data/train.parquet"))
    stats = json.loads((made / "stats.json").read_text())
    assert stats["task_filter"]["threshold"] == 0.5
    card = (made / "README.md").read_text()
    assert "A classifier learned from" in card
    assert str(labels.parent) not in card


def test_the_bytes_do_not_depend_on_concurrency_or_on_the_place_of_the_labels(
    world: Path, labels: Path, made: Path, tmp_path: Path
) -> None:
    moved = Path(shutil.copy(labels, tmp_path / "elsewhere.jsonl"))
    assert data_bytes(run(config(world, moved, concurrency=1), tmp_path / "data")) == data_bytes(made)


def test_the_content_of_the_labels_is_part_of_the_configuration(world: Path, labels: Path) -> None:
    given = config(world, labels)
    for of in (stage, refine):
        named = of.external_files(given)
        assert sha256_file(named["synthesis.task_labels[0]"]) == sha256_file(labels)
        assert "synthesis.task_labels" in of.NOT_HASHED
        assert of.ADDED_LATER["synthesis.task_threshold"] == SynthesisSettings().task_threshold
    assert not any("task_labels" in key for key in probe.external_files({**given, "probe": {}}))
    assert "synthesis.task_threshold" in probe.NOT_HASHED


def test_faults_of_the_labels_are_found_before_any_call(world: Path, tmp_path: Path) -> None:
    given = config(world, tmp_path / "absent.jsonl")
    assert [problem.key for problem in stage.preflight(given, {})] == ["synthesis.task_labels[0]"]
    with pytest.raises(ConfigError, match="cannot be read"):
        run(given, tmp_path / "data")
    assert not (tmp_path / "data" / "journal.sqlite").exists()


def test_one_proposal_ends_after_its_instruction(labels: Path) -> None:
    proposal = Proposal("r1-000000", 1, 0, "coding", RECORDS, ROLES)
    strict = TaskFilter(read_labels([str(labels)]), 1.0)
    talk = propose(proposal, Rules(0, SynthesisSettings(prompts="classic"), tasks=strict))
    calls, steps = next(talk), []
    while True:
        steps += [call.step for call in calls]
        try:
            calls = talk.send([Reply(good_reply(call.request), 10, 5) for call in calls])
        except StopIteration as stop:
            outcome = stop.value
            break
    assert (outcome.status, outcome.reason, steps) == ("rejected", "unlikely_task", ["keywords", "instruction"])


def test_a_run_is_regated_without_its_label_files(world: Path, labels: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copy(labels, tmp_path / "mine.jsonl"))
    made = run_in_folder(load_stage("gra.synthesis.stage.run"), config(world, mine), {}, {}, tmp_path / "data").folder
    mine.unlink()
    with RecordedRun(made, {}, {}, tmp_path / "work") as recorded:
        same, stricter = recorded.arm({}), recorded.arm({"tau": 9.0})
        same.material.write(tmp_path / "same", same.result, same.stats)
    for name in ("data/train.parquet", "rejected.parquet", "stats.json", "README.md"):
        assert (tmp_path / "same" / name).read_bytes() == (made / name).read_bytes(), name
    assert stricter.stats["kept"] < same.stats["kept"]
    assert stricter.stats["task_filter"] == same.stats["task_filter"]


def test_refine_drops_a_record_before_it_pays_for_its_annotation(labels: Path, tmp_path: Path) -> None:
    records = [{"instruction": f"There is number {n}.", "response": f"Number {n}."} for n in range(20)]
    path = tmp_path / "records.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    given = config(path, labels, task_threshold=1.0) | {"refine": {"write": "rewrite"}}
    given["seeds"] = {"path": str(path)}
    (tmp_path / "data").mkdir()
    with pytest.raises(SynthesisError, match=r"lower synthesis\.task_threshold, or label more instructions"):
        refine.run(given, {}, tmp_path / "data")
    assert read_samples(tmp_path / "data" / "journal.sqlite") == []


def test_shards_give_the_bytes_of_one_run(world: Path, labels: Path, made: Path, tmp_path: Path) -> None:
    for index in range(2):
        given = config(world, labels) | {"shard": {"round": 1, "index": index, "count": 2}}
        folder = tmp_path / "shards" / str(index)
        folder.mkdir(parents=True)
        run_shard(given, {}, folder)
    merged = config(world, labels)
    merged["runtime"]["reuse"] = [str(tmp_path / "shards")]
    assert data_bytes(run(merged, tmp_path / "data")) == data_bytes(made)
    assert json.loads((tmp_path / "data" / "run.json").read_text())["replayed"] > 0


@pytest.mark.slow
def test_a_killed_run_resumes_and_gives_the_same_data(world: Path, labels: Path, tmp_path: Path) -> None:
    port = free_port()
    for url in serving([sys.executable, "-m", "gra.simulation.server", "--port", str(port), "--latency", "0.05"], port):
        more = (f"synthesis.task_labels=[{labels}]", "synthesis.task_threshold=0.5")
        whole = finish(command(world, url, tmp_path / "whole", *more), tmp_path)
        assert whole.returncode == 0, whole.stderr
        words = command(world, url, tmp_path / "killed", *more)
        journal = tmp_path / "killed.partial" / "journal.sqlite"
        with subprocess.Popen(words, cwd=tmp_path, start_new_session=True, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not journal.exists():
                time.sleep(0.02)
            time.sleep(0.5)
            os.killpg(process.pid, signal.SIGKILL)
        done = finish(words, tmp_path)
        assert done.returncode == 0, done.stderr
        assert data_bytes(tmp_path / "killed") == data_bytes(tmp_path / "whole")
        stats = json.loads((tmp_path / "killed" / "stats.json").read_text())
        assert stats["reasons"]["unlikely_task"] > 0
