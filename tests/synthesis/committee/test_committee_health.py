"""The committee's health: a committee that tells nothing apart is named, one that does is not, and a run can be ended for it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Scripted
from test_rounds import synthesize

from gra.synthesis.committee.agreement import Agreement
from gra.synthesis.committee.health import ENOUGH, Health, blind
from gra.synthesis.committee.records import DIMENSIONS, Outcome, Review, Roles
from gra.synthesis.output.stats import statistics


def outcome(number: int, scores: dict[str, list[int]], accepted: bool = True) -> Outcome:
    reviews = tuple(Review(model, dict(zip(DIMENSIONS, values, strict=True))) for model, values in scores.items())
    mean = sum(review.score or 0 for review in reviews) / len(reviews)
    fate = ("accepted", "") if accepted else ("rejected", "below_tau")
    roles = Roles("g", tuple(scores), None, "g")
    return Outcome(
        f"r1-{number:06d}", 1, number, "coding", roles, (), fate[0], fate[1], reviews=reviews, mean=mean, std=0.0
    )


def account(outcomes: list[Outcome]) -> dict:
    health = Health()
    for each in outcomes:
        health.add(each)
    return health.account()


def first_real_committee(count: int) -> list[Outcome]:
    """Two models under two names each, two reviewers a sample: one writes 0 for everything, the other six equal scores of 8 to 10,
    whatever the response is. A sample passes if the first was not drawn."""
    rng, found = random.Random(0), []
    for number in range(count):
        drawn = rng.sample(["small-1", "small-2", "coder-1", "coder-2"], 2)
        scores = {model: [0 if model.startswith("small") else rng.choice([8, 8, 9, 10])] * 6 for model in drawn}
        found.append(outcome(number, scores, accepted=all(model.startswith("coder") for model in drawn)))
    return found


def able_committee(count: int, noise: float = 1.0) -> list[Outcome]:
    """Three reviewers of their own severities who see how good a response is, with noise."""
    rng, found = random.Random(1), []
    for number in range(count):
        truth = rng.choice([9, 9, 3])
        drawn = rng.sample([("a", 0.0), ("b", -0.5), ("c", 0.5), ("d", 0.0)], 3)
        scores = {
            m: [min(10, max(0, round(truth + shift + rng.gauss(0, noise)))) for _ in DIMENSIONS] for m, shift in drawn
        }
        found.append(outcome(number, scores, accepted=truth == 9))
    return found


def test_the_first_real_committee_is_called_blind() -> None:
    found = account(first_real_committee(60))
    assert blind(found)
    words = "\n".join(found["warnings"])
    assert "do not agree beyond chance" in words
    assert "small-1 gives nearly every response the same score" in words
    assert "coder-1 gives all dimensions the same score in 100% of" in words
    assert "the random choice of reviewers decides more than the sample" in words
    assert found["sets"]["coder-1, coder-2"]["accepted"] == found["sets"]["coder-1, coder-2"]["reviewed"] > 0
    assert found["sets"]["coder-1, small-1"]["accepted"] == 0
    assert found["reviewers"]["small-1"]["severity"] > 3


def test_a_committee_that_can_tell_is_left_alone() -> None:
    found = account(able_committee(200))
    assert not blind(found)
    assert found["warnings"] == []
    assert 0 < found["alpha_low"] < found["alpha"] < found["alpha_high"] <= 1
    assert found["draw_share"] < 0.2
    assert found["reviewers"]["b"]["severity"] > 0.3 > found["reviewers"]["c"]["severity"]


def test_too_few_reviews_are_not_judged() -> None:
    found = account(first_real_committee(ENOUGH - 1))
    assert not blind(found)
    assert not any("agree" in text or "drawn" in text for text in found["warnings"])


def test_one_score_for_everything_is_blind_though_alpha_is_undefined() -> None:
    found = account([outcome(n, {"a": [8] * 6, "b": [8] * 6}) for n in range(30)])
    assert found["alpha"] is None
    assert blind(found)
    assert "the same score" in "\n".join(found["warnings"])


def test_the_interval_of_alpha_holds_the_truth() -> None:
    """Scores of independent reviewers: alpha is 0, and 95 % of the intervals should hold it."""
    held = 0
    for seed in range(100):
        rng = random.Random(seed)
        drawn = [outcome(n, {m: [rng.randrange(11) for _ in DIMENSIONS] for m in "abc"}) for n in range(80)]
        found = account(drawn)
        held += found["alpha_low"] <= 0 <= found["alpha_high"]
    assert held >= 88


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=4), max_size=30), st.integers(1, 5))
def test_parts_join_to_the_whole(units: list[list[int]], parts: int) -> None:
    whole, pieces = Agreement(), [Agreement() for _ in range(parts)]
    for number, unit in enumerate(units):
        whole.add(unit)
        pieces[number % parts].add(unit)
    assert Agreement.joined(pieces).alpha() == whole.alpha()


def test_it_stands_in_the_statistics() -> None:
    rows = first_real_committee(60)
    kept, rejected = [o for o in rows if o.status == "accepted"], [o for o in rows if o.status == "rejected"]
    stats = statistics(kept, rejected)
    assert stats["health"]["alpha"] == stats["krippendorff_alpha"]
    assert stats["health"] == account([*kept, *rejected])


def test_a_blind_run_is_told_and_can_be_ended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The scripted models review by the request's hash: nothing that a second reviewer would say again."""
    whole = synthesize(Scripted(), tmp_path / "whole.sqlite", tau=0, min_reviews=2, samples_per_round=60)
    assert any("COMMITTEE" in record.message for record in caplog.records)
    results = []
    for concurrency in (1, 16):
        path = tmp_path / f"{concurrency}.sqlite"
        results.append(
            synthesize(
                Scripted(),
                path,
                concurrency=concurrency,
                tau=0,
                min_reviews=2,
                samples_per_round=60,
                stop_when_blind=25,
            )
        )
    one, many = results
    assert len(one.kept) + len(one.rejected) < len(whole.kept) + len(whole.rejected)
    assert [o.id for o in one.kept] == [o.id for o in many.kept]
    assert [o.id for o in one.rejected] == [o.id for o in many.rejected]
    assert [o.id for o in one.kept] == [o.id for o in whole.kept][: len(one.kept)]
