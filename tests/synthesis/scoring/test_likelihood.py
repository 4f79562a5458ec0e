"""Reviews by the likelihood of the response (synthesis.questions=likelihood): in whole runs, and servers that cannot tell it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from test_scoring_runs import NAMES, config, rows, run, world  # noqa: F401
from test_synthesis_app import data_bytes

from gra.errors import ConfigError, ServerError
from gra.models.base import Reply
from gra.models.parsed_pool import parsed_pool
from gra.simulation.world import final_answer, parse
from gra.synthesis import stage
from gra.synthesis.committee.calls import Rules
from gra.synthesis.committee.protocol import gives_probabilities
from gra.synthesis.engine.journal_read import read_calls
from gra.synthesis.output.inspect import main as inspect
from gra.synthesis.probe import stage as probe_stage
from gra.synthesis.regating.regate import settings_of
from gra.synthesis.scoring import probability
from gra.synthesis.scoring.likelihood_checks import problems
from gra.synthesis.settings import SynthesisSettings

LIKELIHOOD = {"questions": "likelihood", "tau": 7.5}


@pytest.fixture(scope="module")
def made(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    return run(config(world, **LIKELIHOOD), tmp_path_factory.mktemp("made") / "data")


def test_the_score_is_ten_through_the_perplexity() -> None:
    assert probability.read_score(Reply("", logprob=0.0), "text") == (10.0, None)
    assert probability.read_score(Reply("", logprob=-math.log(4)), "text") == (2.5, None)
    assert probability.read_score(Reply(""), "text") == (None, probability.NO_LIKELIHOOD)
    score, fault = probability.read_score(Reply("", error="too long"), "text")
    assert score is None
    assert fault == "refused: too long"


def test_a_review_is_one_call_that_forces_the_response_after_the_instruction(made: Path) -> None:
    kept = rows(made)
    assert kept
    for row in kept[:10]:
        calls = [call for call in read_calls(made / "journal.sqlite", row["id"]) if call["step"] == "review"]
        assert len(calls) == len(row["reviewers"])
        for call in calls:
            assert call["request"]["forced"] == row["response"].strip()
            assert call["request"]["messages"] == [{"role": "user", "content": row["instruction"].strip()}]
        reviews = {review["model"]: review["scores"]["overall"] for review in json.loads(row["reviews_json"])}
        assert all(0 < score <= 10 for score in reviews.values())
    told = json.loads((made / "stats.json").read_text())
    assert {steps["likelihood"]["calls"] for steps in told["replies"].values()} == {1}
    wrong = [r for r in kept if (known := parse(r["instruction"])) and final_answer(r["response"]) != known.answer]
    assert len(wrong) < 0.25 * len(kept)


def test_the_data_are_the_same_at_concurrency_1_and_from_the_journal(world: Path, made: Path, tmp_path: Path) -> None:  # noqa: F811
    given = config(world, concurrency=1, **LIKELIHOOD)
    given["runtime"]["reuse"] = [str(made)]
    again = run(given, tmp_path / "data")
    assert data_bytes(again) == data_bytes(made)
    assert json.loads((again / "run.json").read_text())["asked"] == 0
    assert data_bytes(run(config(world, concurrency=1, **LIKELIHOOD), tmp_path / "slow")) == data_bytes(made)


def test_inspect_shows_what_was_read(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = rows(made)[0]
    inspect([str(made), "--sample", row["id"]])
    shown = capsys.readouterr().out
    assert "logprob" in shown
    assert "text whose likelihood is read" in shown


def faults(given: dict[str, Any], folder: Path) -> dict[str, str]:
    with pytest.raises(ConfigError) as raised:
        run(given, folder)
    found: dict[str, str] = {}
    for problem in raised.value.problems:
        found[problem.key] = f"{found.get(problem.key, '')} {problem.message}"
    return found


def test_servers_that_cannot_tell_it_are_refused_before_they_are_asked(world: Path, tmp_path: Path) -> None:  # noqa: F811
    given = config(world, **LIKELIHOOD)
    given["pool"] = {
        "_target_": "gra.models.openai.backend.connect",
        "base_url": "http://127.0.0.1:9/v1",
        "models": NAMES,
    }
    assert "cannot tell how likely" in faults(given, tmp_path / "servers")["synthesis.questions"]
    given["pool"]["simulated"] = False
    given["synthesis"]["scoring"] = "text"
    assert "needs synthesis.scoring=probability" in faults(given, tmp_path / "text")["synthesis.questions"]


@pytest.mark.parametrize("reply", [Reply(""), Reply("", logprob=0.0)])  # the second reads after the grammar
def test_a_server_that_does_not_read_the_text_is_named(reply: Reply) -> None:
    rules = Rules(0, SynthesisSettings(scoring="probability", questions="likelihood"))
    asking = gives_probabilities("m", rules, likelihood=True)
    next(asking)
    (call,) = asking.send([Reply("Yes", choices={"Yes": 0.9, "No": 0.1})])
    assert call.request.forced == probability.UNLIKELY
    with pytest.raises(ServerError, match=r"(?s)model `m`: its server does not tell.*pool=small.*questions=overall"):
        asking.send([reply])


def test_a_model_may_not_review_its_own_responses_by_likelihood(world: Path, tmp_path: Path) -> None:  # noqa: F811
    told = faults(config(world, **LIKELIHOOD, roles="single", composite="correctness"), tmp_path / "data")
    assert "reviews its own responses" in told["synthesis.questions"]
    assert "questions=likelihood gives one" in told["synthesis.composite"]


def small(**model: Any) -> dict[str, Any]:
    """A pool of three real models behind llama.cpp, whose weights `model` changes for the third."""
    names = [
        {"name": name, "weights": {"file": name, "bytes": 9, "sha256": name * 64, "licence": "MIT"}} for name in "abc"
    ]
    names[2]["weights"] |= model
    serve = {"command": "serve {python} {weights} {port}", "requires": {"xllamacpp": "pip install it"}}
    return {"_target_": "gra.models.openai.backend.connect", "models": names, "serve": serve}


@pytest.mark.parametrize(
    ("pool", "settings", "message"),
    [
        (small(), {"calibrate": "probe"}, None),
        (small(), {"tau": 3}, None),
        (small(), {}, "nearly nothing reaches synthesis.tau=8"),
        (small(sha256="b" * 64), {"tau": 3}, "b and c are the same model"),
        (small(sha256="b" * 64), {"tau": 3, "roles": "one_generator", "single_model": "a"}, None),
        ({**small(), "_target_": "gra.models.time_sharing.vllm.connect"}, {"tau": 3}, "cannot tell how likely"),
    ],
)
def test_what_cannot_work_is_said_before_a_run(pool: Any, settings: dict[str, Any], message: str | None) -> None:
    given = SynthesisSettings(scoring="probability", questions="likelihood", reviewers=1, min_reviews=1, **settings)
    found = [problem.message for problem in problems(given, parsed_pool(pool, {}))]
    assert [message in text for text in found if message] == [True] * bool(message)
    assert bool(found) == bool(message)


def test_regating_by_correctness_needs_six_scores() -> None:
    recorded = {"scoring": "probability", "questions": "likelihood"}
    _, found = settings_of(recorded, {"composite": "correctness"})
    assert [problem.key for problem in found] == ["regate.composite"]


def test_a_probe_needs_no_calibration() -> None:
    config = {
        "seed": 0,
        "seeds": {"path": "conf/seeds/starter.jsonl"},
        "pool": {"_target_": "gra.models.local.transformers.connect", "models": ["a", "b", "c"]},
        "synthesis": {"scoring": "probability", "questions": "likelihood", "reviewers": 1, "min_reviews": 1},
        "probe": {},
        "runtime": {},
    }
    assert [problem.message for problem in probe_stage.check(config, {}) if problem.key.startswith("synthesis")] == []
    whole = stage.check({key: value for key, value in config.items() if key != "probe"}, {})
    assert [problem.key for problem in whole if problem.key.startswith("synthesis")] == ["synthesis.calibrate"]
