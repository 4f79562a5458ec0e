"""A committee over an existing data set: what each record goes through, one of several answers, and the folder that comes out."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import MODELS, good_reply, scores

from gra.chain.execution.runner import run_in_folder
from gra.chain.stage import load_stage
from gra.chain.store import manifest
from gra.errors import SynthesisError
from gra.fileio import read_json
from gra.models.base import Reply, Request
from gra.reasons import REASONS
from gra.simulation import world_stage
from gra.simulation.backend import SimulatedBackend
from gra.synthesis.committee.calls import Rules
from gra.synthesis.committee.records import Outcome, Roles, Seed
from gra.synthesis.output.inspect import main as inspect
from gra.synthesis.refining import price
from gra.synthesis.refining.exchange import choose, draw_task, refine
from gra.synthesis.refining.settings import RefineSettings
from gra.synthesis.refining.votes import final_answer, vote
from gra.synthesis.scoring.examples import Shelf
from gra.synthesis.settings import SynthesisSettings

STAGE = "gra.synthesis.refine.run"
FILES = ("data/train.parquet", "rejected.parquet", "stats.json", "README.md", "decontamination.json")
POOL = {
    "_target_": "gra.simulation.backend.connect",
    "models": [{"name": f"slm-{letter}", "parameters": 8} for letter in "abcde"],
    "simulated": True,
    "world_seed": 0,
}
SEED = Seed("s1", "What is 2 + 2?", "It is 5.", "line 1", "mathematics", ("a", "b", "c"), "A sum.")
BARE = Seed("s2", "What is 2 + 3?", "", "line 2")
ALONE = {"roles": "single", "review": False, "adjudicate": False}


def life(
    seed: Seed, *, synthesis: dict[str, Any] | None = None, answer: Any = good_reply, **refining: Any
) -> tuple[tuple[Outcome, ...], list[list[str]], list[Request]]:
    """The outcomes of one record, the steps asked in each wave, and the requests."""
    rules = Rules(0, SynthesisSettings(**(synthesis or {})))
    exchange = refine(draw_task(seed, 0, MODELS, rules), RefineSettings(**refining), rules, Shelf(0, None))
    waves, requests = [], []
    try:
        calls = next(exchange)
        while True:
            waves.append([call.step for call in calls])
            requests += [call.request for call in calls]
            replies = [answer(call.request) for call in calls]
            calls = exchange.send([r if isinstance(r, Reply) else Reply(r, 1, 1) for r in replies])
    except StopIteration as stop:
        return stop.value, waves, requests


def good(request: Request) -> str:
    if request.schema_name in ("review", "adjudicate"):
        return json.dumps(scores(9))
    if request.schema_name == "check":
        return json.dumps({"reasonableness": True, "completeness": True, "clarity": True, "comment": ""})
    return good_reply(request)


def test_a_record_is_checked_rewritten_and_reviewed_and_keeps_what_it_has() -> None:
    (outcome,), waves, requests = life(SEED, answer=good)
    assert waves == [["check"] * 3, ["rewrite"], ["review"] * 3]
    shown = requests[3].messages[-1]["content"]
    assert SEED.instruction in shown
    assert SEED.response in shown
    assert requests[3].max_tokens == SynthesisSettings().decoding.respond.max_tokens
    kept = (outcome.id, outcome.instruction, outcome.domain, outcome.keywords, outcome.summary)
    assert kept == (SEED.id, SEED.instruction, SEED.domain, SEED.keywords, SEED.summary)
    assert outcome.status == "accepted"
    assert outcome.response != SEED.response
    assert len(outcome.calls) == 7


def test_each_way_of_writing_asks_what_it_says() -> None:
    _, waves, requests = life(SEED, write="answer", synthesis=ALONE, answer=good)
    assert waves == [["respond"]]
    assert all(SEED.response not in message["content"] for message in requests[0].messages)
    (outcome,), waves, _ = life(SEED, write="keep", answer=good)
    assert waves == [["check"] * 3, ["review"] * 3]
    assert outcome.response == SEED.response
    _, waves, _ = life(SEED, write="keep", check=False, answer=good)
    assert waves == [["review"] * 3]


def test_a_record_without_domain_is_annotated_only_where_it_matters_and_one_without_response_is_answered() -> None:
    (outcome,), waves, _ = life(BARE, answer=good)
    assert waves == [["annotate_seed"], ["check"] * 3, ["respond"], ["review"] * 3]
    assert outcome.domain in ("coding", "reasoning")
    assert len(outcome.calls) == 8
    (outcome,), waves, _ = life(BARE, synthesis=ALONE, answer=good)
    assert waves == [["respond"]]
    assert (outcome.status, outcome.summary) == ("accepted", None)
    (outcome,), _, _ = life(BARE, write="keep", answer=good)
    assert (outcome.status, outcome.reason) == ("rejected", "response_missing")


@pytest.mark.parametrize("step", ["annotate_seed", "check", "respond", "review", "adjudicate"])
@pytest.mark.parametrize("reply", [Reply("", error="content filter"), Reply("nonsense"), Reply("", finish="length")])
def test_no_reply_makes_a_record_raise(step: str, reply: Reply) -> None:
    outcomes, _, _ = life(
        BARE, answers=2, answer=lambda request: reply if request.schema_name == step else good(request)
    )
    assert outcomes
    assert all(o.status == "accepted" or o.reason in REASONS for o in outcomes)
    assert sum(len(o.calls) for o in outcomes) > 0


def test_later_answers_are_not_written_once_the_first_is_accepted() -> None:
    outcomes, waves, _ = life(SEED, write="answer", answers=4, choose="first", answer=good)
    assert [o.status for o in outcomes] == ["accepted"]
    assert waves.count(["respond"]) == 1
    low = lambda request: json.dumps(scores(2)) if request.schema_name == "review" else good(request)  # noqa: E731
    outcomes, waves, _ = life(SEED, write="answer", answers=4, choose="first", answer=low)
    assert [o.reason for o in outcomes] == ["below_tau"] * 4
    assert len({o.response for o in outcomes}) == 4  # each call has a seed of its own
    assert [o.id for o in outcomes] == ["s1.1", "s1.2", "s1.3", "s1.4"]


def outcome_of(
    number: int, mean: float | None, response: str, *, accepted: bool = True, domain: str = "mathematics"
) -> Outcome:
    nobody = Roles("m1", (), None, "m1")
    done = Outcome(f"s.{number}", 1, number, domain, nobody, (), "accepted", response=response, mean=mean)
    return done if accepted else replace(done, status="rejected", reason="below_tau")


@given(
    st.lists(
        st.tuples(st.none() | st.floats(0, 10), st.sampled_from(["answer: 1", "answer: 2", "well"]), st.booleans()),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["best", "vote", "first"]),
    st.floats(0, 1),
)
def test_at_most_one_answer_is_kept_and_nothing_else_changes(
    drawn: list[tuple[float | None, str, bool]], how: str, agreement: float
) -> None:
    found = [outcome_of(i, mean, text, accepted=ok) for i, (mean, text, ok) in enumerate(drawn)]
    chosen = choose(found, RefineSettings(answers=9, choose=how, agreement=agreement))
    kept = [o for o in chosen if o.status == "accepted"]
    assert len(kept) == (1 if any(ok for *_, ok in drawn) else 0) or (how == "vote" and not kept)
    assert [(o.id, o.response, o.mean) for o in chosen] == [(o.id, o.response, o.mean) for o in found]
    assert all(new == old for new, old in zip(chosen, found, strict=True) if old.status == "rejected")
    if how == "best" and kept:
        assert (kept[0].mean or 0) >= max((o.mean or 0) for o in found if o.status == "accepted")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("So the answer is 42.", "42"),
        ("First, the answer is 3. No: the answer is 4.", "4"),
        ("Answer: **Paris**\nBecause it is.", "paris"),
        (r"Thus \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        ("#### 1,234", "1234"),
        ("the answer is $3.50.", "3.50"),
        ("It is probably 7.", None),
        ("", None),
    ],
)
def test_a_final_answer_is_read_only_where_it_is_stated(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


def test_votes_are_of_readable_answers_and_ties_go_to_the_earlier() -> None:
    assert vote(["answer: 1", "well", "answer: 2", "the answer is 2."]) == (2, 2 / 3)
    assert vote(["well", "answer: 2", "answer: 1"]) == (1, 0.5)
    assert vote(["well", "hm"]) == (0, None)


def test_where_answers_cannot_be_checked_one_is_written_without_a_vote() -> None:
    tale = replace(SEED, domain="creation")
    _, waves, _ = life(tale, write="answer", answers=5, choose="vote", synthesis=ALONE, answer=good)
    assert waves == [["respond"]]
    _, waves, _ = life(SEED, write="answer", answers=5, choose="vote", synthesis=ALONE, answer=good)
    assert waves == [["respond"]] * 5


# --- the stage, over simulated models -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    world_stage.run({"seed": 0, "world": {"seeds": 40, "test_per_task": 5}}, {}, folder)
    return folder


def config(
    path: Path, *, limit: int | None = None, concurrency: int = 16, synthesis: Any = None, **refining: Any
) -> dict[str, Any]:
    return {
        "seed": 0,
        "seeds": {"path": str(path), "limit": limit},
        "pool": POOL,
        "synthesis": {**(synthesis or {})},
        "refine": refining,
        "runtime": {"concurrency": concurrency},
    }


def make(settings: dict[str, Any], folder: Path, **inputs: Path) -> Path:
    hashes = {name: manifest.outside_hash(path) for name, path in inputs.items()}
    return run_in_folder(load_stage(STAGE), settings, inputs, hashes, folder).folder


@pytest.fixture(scope="module")
def refined(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(config(world / "seeds" / "seeds.jsonl"), tmp_path_factory.mktemp("refined") / "run")


def test_a_killed_run_resumes_with_the_same_bytes_at_another_concurrency(
    refined: Path, world: Path, tmp_path: Path
) -> None:
    settings = config(world / "seeds" / "seeds.jsonl", concurrency=3)
    pid = os.fork()
    if pid == 0:  # the child dies in the middle of its calls
        chat, count = SimulatedBackend.chat, iter(range(10**6))

        async def deadly(self: SimulatedBackend, request: Request) -> Reply:
            if next(count) == 120:
                os.kill(os.getpid(), signal.SIGKILL)
            return await chat(self, request)

        try:
            SimulatedBackend.chat = deadly  # type: ignore[method-assign]
            make(settings, tmp_path / "run")
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    resumed = make(settings, tmp_path / "run")
    run = read_json(resumed / "run.json")
    assert 100 < run["replayed"] <= 120
    assert run["asked"] + run["replayed"] == read_json(refined / "stats.json")["calls"]
    for name in FILES:
        assert (resumed / name).read_bytes() == (refined / name).read_bytes(), name


def test_the_folder_has_the_layout_of_a_synthesis_and_says_what_was_done(
    refined: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stats, card = read_json(refined / "stats.json"), (refined / "README.md").read_text()
    train, rejected = (pq.read_table(refined / name) for name in ("data/train.parquet", "rejected.parquet"))
    assert train.num_rows + rejected.num_rows == stats["proposals"] == 40
    assert 0 < train.num_rows < 40
    assert set(train["decision"].to_pylist()) <= {"accepted", "adjudicated"}
    assert Counter(rejected["reason"].to_pylist()) == stats["reasons"]
    assert stats["simulated"]
    assert (refined / "SIMULATED").is_file()
    assert "rewrote its response" in card
    assert "samples_per_round" not in card
    assert inspect([str(refined), "--sample", train["id"][0].as_py()]) == 0
    assert "rewrite / generator" in capsys.readouterr().out


def test_a_data_folder_of_this_project_keeps_ids_domains_and_summaries_without_a_call_for_them(
    refined: Path, tmp_path: Path
) -> None:
    again = make(config(refined, write="keep", synthesis={"tau": 0.0}), tmp_path / "again")
    steps = {step for found in read_json(again / "stats.json")["replies"].values() for step in found}
    assert "annotate_seed" not in steps
    before, after = (pq.read_table(folder / "data" / "train.parquet").to_pylist() for folder in (refined, again))
    known = {row["id"]: row for row in before}
    assert after
    for row in after:
        for key in ("instruction", "response", "domain", "keywords", "summary"):
            assert row[key] == known[row["id"]][key], key


def test_enough_samples_end_the_run_and_too_few_are_said(
    world: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = world / "seeds" / "seeds.jsonl"
    enough = read_json(make(config(path, samples=7, write="answer"), tmp_path / "enough") / "stats.json")
    assert enough["kept"] == 7
    assert enough["proposals"] < 40
    assert enough["short_rounds"] == []
    short = make(config(path, samples=500, write="answer", limit=5, synthesis=ALONE), tmp_path / "short")
    assert read_json(short / "stats.json")["short_rounds"] == [1]
    assert "all 5 records are used" in caplog.text


def test_items_of_benchmarks_are_dropped_from_the_data_set_too(world: Path, tmp_path: Path) -> None:
    item = json.loads((world / "benchmarks" / "mathematics.jsonl").read_text().splitlines()[0])
    rows = [{"instruction": item["question"], "output": "The answer is 1.", "domain": "mathematics"}]
    rows += [{"instruction": "What is 11 + 12?", "output": "The answer is 23.", "domain": "mathematics"}]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = make(config(tmp_path / "mine.jsonl", write="answer", synthesis=ALONE), tmp_path / "made", benchmarks=world)
    assert pq.read_table(made / "rejected.parquet")["reason"].to_pylist() == ["contaminated"]
    assert pq.read_table(made / "data" / "train.parquet")["instruction"].to_pylist() == ["What is 11 + 12?"]
    assert set(pq.read_table(made / "data" / "train.parquet")["generator"].to_pylist()) == {"slm-a"}


def test_a_run_that_keeps_nothing_says_why(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"instruction": "What is 1 + 1?"}\n' * 3)
    with pytest.raises(SynthesisError, match="No sample was kept of 3 proposals"):
        make(config(tmp_path / "mine.jsonl", write="keep"), tmp_path / "made")


def test_all_faults_are_found_at_once_and_before_any_work(world: Path) -> None:
    settings = config(world / "seeds" / "seeds.jsonl", write="keep", answers=2, choose="vote", samples=0)
    settings["synthesis"] = {"tau": 11}
    stage = load_stage(STAGE)
    assert {problem.key for problem in stage.check(settings, {})} == {"refine.samples", "synthesis.tau"}
    settings["refine"].pop("samples")
    settings["synthesis"] = {"review": False}
    assert [problem.key for problem in stage.check(settings, {})] == [
        "refine.write",
        "refine.answers",
        "refine.answers",
    ]
    settings["refine"] = {"write": "answer", "answers": 2}
    assert [problem.key for problem in stage.check(settings, {})] == ["refine.choose"]
    settings.pop("refine")
    assert "refine" in {problem.key for problem in stage.check(settings, {})}


def test_the_price_is_what_a_run_of_perfect_replies_would_ask() -> None:
    settings = SynthesisSettings(adjudicate=False)
    assert price.calls_of(RefineSettings(check=False), settings, 100, annotated=True) == {
        "rewrite": 100 * price.RETRIED,
        "review": 300 * price.RETRIED,
    }
    many = RefineSettings(write="answer", answers=5, choose="vote")
    assert price.calls_of(many, SynthesisSettings(**ALONE), 100) == {
        "annotate_seed": 100 * price.RETRIED,
        "respond": 500 * price.RETRIED,
    }
