"""Re-gating: arms decided from one journal are those of a run of their own, and what cannot be decided is counted."""

from __future__ import annotations

import csv
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import MODELS, RECORDS, scores

from gra.chain.execution.runner import run_in_folder
from gra.chain.stage import load_stage
from gra.chain.store import manifest
from gra.errors import ConfigError, StoreError
from gra.fileio import read_json
from gra.models.base import Reply, Request
from gra.simulation import world_stage
from gra.synthesis.committee.calls import Rules
from gra.synthesis.committee.protocol import Proposal, propose
from gra.synthesis.committee.records import Outcome, Roles
from gra.synthesis.regating import sweep
from gra.synthesis.regating.regate import UNDECIDED, regate, settings_of
from gra.synthesis.regating.run import RecordedRun
from gra.synthesis.settings import SynthesisSettings

FILES = ("data/train.parquet", "rejected.parquet", "stats.json", "README.md", "decontamination.json")
POOL = {
    "_target_": "gra.simulation.backend.connect",
    "models": [{"name": f"slm-{letter}", "parameters": 8} for letter in "abcde"],
    "simulated": True,
    "world_seed": 0,
}
SEEDS = {
    "name": "world",
    "path": "seeds/seeds.jsonl",
    "format": "jsonl",
    "limit": 40,
    "max_bad": 0,
    "license": "cc0-1.0",
    "columns": {"instruction": "instruction", "input": "input", "response": "output", "domain": "domain"},
}
BASE: dict[str, Any] = {"rounds": 1, "samples_per_round": 40, "max_proposals": 40, "dedup": {"model": "hash"}}
# The adjudicator is asked wherever reviewers differ at all, an instruction passes with one failed check, and every sample passes:
# each stricter arm is decided.
ASK_ALL = {"tau": 0.0, "delta": 0.0, "check": "majority"}
PAPER = {"tau": 8.0, "delta": 1.5, "check": "unanimous"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    world_stage.run({"seed": 0, "world": {"seeds": 60, "test_per_task": 5}}, {}, folder)
    return folder


@pytest.fixture(scope="module")
def synthesize(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Runs a whole synthesis by simulated models; returns its data folder."""
    made: dict[str, Path] = {}

    def make(**settings: Any) -> Path:
        folder = made.setdefault(json.dumps(settings, sort_keys=True), tmp_path_factory.mktemp("data") / "run")
        config = {
            "seed": 0,
            "seeds": SEEDS,
            "pool": POOL,
            "synthesis": {**BASE, **settings},
            "runtime": {"concurrency": 16},
        }
        inputs = {"seeds": world, "benchmarks": world}
        hashes = {name: manifest.outside_hash(path) for name, path in inputs.items()}
        return run_in_folder(load_stage("gra.synthesis.stage.run"), config, inputs, hashes, folder).folder

    return make


@pytest.fixture(scope="module")
def recorded(synthesize: Callable[..., Path]) -> Path:
    return synthesize(**ASK_ALL)


def regated(data: Path, output: Path, **changes: Any) -> Path:
    """The arm by the stage."""
    stage = load_stage("gra.synthesis.regate.run")
    inputs = {"data": data}
    return run_in_folder(stage, {"regate": changes}, inputs, {"data": manifest.outside_hash(data)}, output).folder


def same(arm: Path, own: Path) -> None:
    for name in FILES:
        assert (arm / name).read_bytes() == (own / name).read_bytes(), name


@pytest.mark.slow
def test_three_arms_of_one_round_have_the_bytes_of_their_own_runs(
    recorded: Path, synthesize: Callable[..., Path], tmp_path: Path
) -> None:
    majority = {"tau": 7.0, "delta": 1.0, "reviewers": 2, "adjudicate": False, "disputed": "majority"}
    arms = {
        "the gate of the paper": PAPER,
        "two reviewers, majority, a round that is filled": {**PAPER, **majority, "samples_per_round": 12},
        "worst dimension, sample form": {**PAPER, "tau": 6.5, "composite": "min", "std": "sample"},
    }
    with RecordedRun(recorded, {}, {}, tmp_path / "work") as run:
        for name, changes in arms.items():
            arm = run.arm(changes)
            assert arm.undecided.exact, name
            assert 0 < arm.stats["kept"] < read_json(recorded / "stats.json")["kept"], name
            arm.material.write(tmp_path / name, arm.result, arm.stats)
            same(tmp_path / name, synthesize(**changes))


def test_what_was_never_asked_is_counted_and_said(
    synthesize: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arm = regated(synthesize(**PAPER), tmp_path / "arm", tau=7.0, delta=0.5, check="majority")
    account = read_json(arm / "stats.json")["regated"]
    assert not account["exact"]
    assert account["undecided"]["the recorded run made no call to the adjudicator"] > 0
    assert account["undecided"]["the recorded run made no call for the response"] > 0
    assert read_json(arm / "stats.json")["reasons"][UNDECIDED] == sum(account["undecided"].values())
    assert "the recorded run made no call to the adjudicator" in caplog.text
    assert "not what a run of its own would give" in (arm / "README.md").read_text()
    assert read_json(arm / "manifest.json")["metrics"]["exact"] == 0.0
    assert (arm / "SIMULATED").is_file()


@pytest.mark.slow
def test_later_rounds_use_the_recorded_pool_and_say_so(synthesize: Callable[..., Path], tmp_path: Path) -> None:
    two = synthesize(**ASK_ALL, rounds=2, samples_per_round=10)
    with RecordedRun(two, {}, {}, tmp_path / "work") as run:
        own = run.arm({})
        own.material.write(tmp_path / "own", own.result, own.stats)
        same(tmp_path / "own", two)
        account = run.arm(PAPER).stats["regated"]
        assert account["rounds_from_the_recorded_pool"] == [2]
        assert account["rounds_used_up"] == [1, 2]  # fewer proposals filled the recorded rounds
        assert run.arm({"rounds": 1}).undecided.exact


def test_a_journal_that_does_not_give_its_data_is_refused(recorded: Path, tmp_path: Path) -> None:
    data = shutil.copytree(recorded, tmp_path / "data")
    found = read_json(data / "manifest.json")
    for key, value, message in (
        ("synthesis", {**found["config"]["synthesis"], "tau": 8.0}, "replaying its journal does not reproduce"),
        ("seed", 1, "is not in the journal"),
    ):
        (data / "manifest.json").write_text(json.dumps(found | {"config": found["config"] | {key: value}}))
        with pytest.raises(StoreError, match=message), RecordedRun(data, {}, {}, tmp_path / "work"):
            pass
        assert not (tmp_path / "work").exists()


@pytest.mark.slow
def test_a_sweep_is_one_command_with_a_table_and_a_plot(
    recorded: Path, synthesize: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "sweep"
    words = ["tau=6,8.0", "delta=0.5,1.5", "check=unanimous", "--output", str(output), "--data"]
    assert sweep.main([str(recorded), *words]) == 0
    rows = list(csv.DictReader((output / "sweep.csv").open()))
    assert [(row["tau"], row["delta"]) for row in rows] == [(t, d) for t in ("6", "8.0") for d in ("0.5", "1.5")]
    by = {(row["tau"], row["delta"]): int(row["accepted"]) for row in rows}
    assert by["6", "1.5"] > by["8.0", "1.5"]
    assert all(row["exact"] == "True" and row["undecided"] == "0" for row in rows)
    assert (output / "sweep.png").read_bytes().startswith(b"\x89PNG")
    same(output / "data" / "tau-8.0,delta-1.5,check-unanimous", synthesize(**PAPER))
    assert not (output / "spool").exists()
    assert "sweep.csv" in capsys.readouterr().out
    with pytest.raises(ConfigError) as caught:
        sweep.main([str(recorded), "tau=7,high", "roles=fixed", "--output", str(output)])
    assert {problem.key for problem in caught.value.problems} == {"regate.tau", "regate.roles"}


def test_a_warning_that_holds_for_every_arm_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("gra.test")
    with caplog.at_level(logging.INFO):
        with sweep.each_warning_once():
            for arm in range(3):
                log.warning("domain %s: no sample", "mathematics")
                log.warning("arm %d: undecided", arm)
                log.info("arm done")
        log.warning("domain mathematics: no sample")
    told = [record.getMessage() for record in caplog.records]
    assert told.count("domain mathematics: no sample") == 2, "once, and once after the sweep"
    assert [text for text in told if "undecided" in text] == [f"arm {arm}: undecided" for arm in range(3)]
    assert told.count("arm done") == 3


def test_changes_that_other_calls_would_have_answered_are_refused_all_at_once(recorded: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        regated(recorded, tmp_path / "arm", roles="fixed", reviewers=4, rounds=2, tau="high", shots=3)
    keys = {problem.key for problem in caught.value.problems}
    assert keys >= {"regate.roles", "regate.shots", "regate.tau"}
    found = settings_of(BASE, {"reviewers": 4, "rounds": 2, "min_reviews": 9})[1]
    assert {problem.key for problem in found} == {"regate.reviewers", "regate.rounds", "regate.min_reviews"}


# The pure function against the protocol: random verdicts, recorded once with everything asked.

points = st.integers(0, 10)
verdict = st.one_of(st.none(), st.fixed_dictionaries({"correctness": points, "clarity": points}))
changes_of = st.fixed_dictionaries(
    {
        "tau": st.sampled_from([0.0, 5.0, 6.5, 8.0]),
        "delta": st.sampled_from([0.0, 1.0, 1.5, 4.0]),
        "composite": st.sampled_from(["mean", "median", "min", "correctness"]),
        "std": st.sampled_from(["population", "sample"]),
        "disputed": st.sampled_from(["drop", "keep", "majority"]),
        "adjudicate": st.booleans(),
        "reviewers": st.integers(1, 3),
        "review": st.booleans(),
        "check": st.sampled_from(["unanimous", "majority"]),
    }
)
checking = st.sampled_from([None, [MODELS[0]], [MODELS[0], MODELS[4]]])


@given(
    st.lists(verdict, min_size=3, max_size=3),
    verdict,
    st.lists(st.booleans(), min_size=3, max_size=3),
    changes_of,
    checking,
)
def test_a_decided_proposal_is_what_the_protocol_gives(
    reviews: list[dict[str, int] | None],
    word: dict[str, int] | None,
    passes: list[bool],
    changes: dict[str, Any],
    checked_by: list[str] | None,
) -> None:
    def answer(request: Request, role: str) -> str:
        if request.schema_name == "check":
            ok = passes[int(role[-1]) - 1]
            return _json(analysis="", reasonableness=ok, completeness=True, clarity=True, comment="")
        if request.schema_name in ("review", "adjudicate"):
            given = word if role == "adjudicator" else reviews[int(role[-1]) - 1]
            return "I cannot say" if given is None else _json(**scores(7, **given))
        if request.schema_name == "keywords":
            return _json(keywords=["a", "b", "c"])
        return _json(instruction="Explain it.") if request.schema_name == "instruction" else "This is how it works."

    recorded = SynthesisSettings(tau=0, delta=0, min_reviews=1, check="majority", parse_retries=0, checkers=checked_by)
    settings = recorded.model_copy(update=changes)
    found = regate(_played(recorded, answer), settings)
    own = _played(settings, answer)
    if found.reason == UNDECIDED:
        return
    if changes["reviewers"] < 3 and changes["adjudicate"]:  # another adjudicator is drawn
        assert not found.adjudicated
        own = _without_adjudicator(own)
        found = _without_adjudicator(found)
    assert found == own


def _played(settings: SynthesisSettings, answer: Callable[[Request, str], str]) -> Outcome:
    count = settings.reviewers if settings.review else 0
    judge = MODELS[1 + count] if settings.review and settings.adjudicate else None
    roles = Roles(MODELS[0], MODELS[1 : 1 + count], judge, MODELS[0])
    life = propose(Proposal("r1-000000", 1, 0, "coding", RECORDS, roles), Rules(0, settings))
    calls = next(life)
    while True:
        try:
            calls = life.send([Reply(answer(call.request, call.role), 5, 5) for call in calls])
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def _without_adjudicator(outcome: Outcome) -> Outcome:
    return replace(outcome, roles=replace(outcome.roles, adjudicator=None))


def _json(**values: Any) -> str:
    return json.dumps(values)
