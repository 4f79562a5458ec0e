"""The eight samples that the first committee of real models kept, all of them worthless, would not pass today: seven are refused by
checks with names, whoever reviews, and the eighth, a poor question, is stopped by what is said of such reviewers.

fixtures/worthless_samples.jsonl holds them: kept in November 2026 by SmolLM2-135M-Instruct and Qwen2.5-Coder-0.5B-Instruct, two of
each, over seeds of Self-Instruct, with two reviewers and tau = 8. SmolLM2 wrote 0 for every score of every response; Qwen-Coder
wrote six equal scores of 8 to 10 for 93 % of right answers and for all of the answers to another question.
"""

from __future__ import annotations

import json
import random
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from scripted import Scripted, good_reply, scores
from test_committee_health import account, first_real_committee
from test_rounds import synthesize
from test_usable import WORTHLESS, found, instruction

from gra.models.base import Request
from gra.synthesis.committee.health import blind
from gra.synthesis.probe.items import Item
from gra.synthesis.probe.result import qualify
from gra.synthesis.settings import SynthesisSettings

POOL = {
    "small-1": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "small-2": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "coder-1": "Qwen/Qwen2.5-Coder-0.5B-Instruct",
    "coder-2": "Qwen/Qwen2.5-Coder-0.5B-Instruct",
}
BY_INSTRUCTION = [
    "asks_nothing",
    "asks_nothing",
    "asks_nothing",
    "speaks_of_prompt",
    None,
    "asks_nothing",
    "speaks_of_prompt",
    "speaks_of_prompt",
]


@pytest.mark.parametrize("number", range(8))
def test_a_named_check_refuses_it(number: int) -> None:
    sample = WORTHLESS[number]
    assert instruction(sample["instruction"]) == BY_INSTRUCTION[number]
    said = found("respond", sample["response"], instruction=sample["instruction"])
    assert said == ("repeats_instruction" if number == 1 else None)


def test_one_is_left_to_the_reviewers() -> None:
    (left,) = [sample for sample, kind in zip(WORTHLESS, BY_INSTRUCTION, strict=True) if kind is None]
    assert left["instruction"] == "Is there a company in Singapore that has its headquarters in Singapore?"


def test_its_reviewers_are_named_as_telling_nothing_apart() -> None:
    """The committee's health over 60 samples like that one: every fault by its name, and the run is one to end."""
    left = {"instruction": WORTHLESS[4]["instruction"], "response": WORTHLESS[4]["response"]}
    health = account([replace(outcome, **left) for outcome in first_real_committee(60)])
    assert blind(health)
    said = "\n".join(health["warnings"])
    assert "the reviewers do not agree beyond chance" in said
    assert "the random choice of reviewers decides more than the sample" in said
    for model in POOL:
        what = "nearly every response the same score" if model.startswith("small") else "all dimensions the same score"
        assert f"{model} gives {what}" in said


def test_a_run_with_such_reviewers_is_ended(tmp_path: Path) -> None:
    """Whatever is written: with `stop_when_blind` few samples are paid for, and without it the run says what it is worth."""

    def answer(request: Request) -> str:
        if request.schema_name != "review":
            return good_reply(request)
        given = 0 if request.model.startswith("small") else (8, 8, 9, 10)[zlib.crc32(request.canonical) % 4]
        return json.dumps(scores(given))

    wanted = {"reviewers": 2, "min_reviews": 2, "samples_per_round": 40, "rounds": 1, "max_proposals": 120}
    whole = synthesize(Scripted(answer, models=tuple(POOL)), tmp_path / "whole.sqlite", **wanted)
    ended = synthesize(Scripted(answer, models=tuple(POOL)), tmp_path / "ended.sqlite", stop_when_blind=25, **wanted)
    reviewed = [outcome for outcome in (*ended.kept, *ended.rejected) if outcome.reviews]
    assert 25 <= len(reviewed) < 60 < len([outcome for outcome in (*whole.kept, *whole.rejected) if outcome.reviews])
    # the draw decided
    assert all(review.model.startswith("coder") for outcome in whole.kept for review in outcome.reviews)


def test_the_probe_of_these_models_refuses_the_committee() -> None:
    """200 items, half with the answer to another question, judged as the models were measured to judge."""
    rng = random.Random(0)
    items = [
        Item(f"{kind} {n}", kind, str(n), "coding", f"ask {n}", "say", kind == "right")
        for n in range(100)
        for kind in ("right", "other")
    ]

    def judge(model: str, item: Item) -> dict[str, float]:
        if model.startswith("small"):
            return {"overall": 0.0}
        return {"overall": 6.0 if item.right and rng.random() < 0.07 else float(rng.choice([8, 9, 10]))}

    judged = {model: {item.id: judge(model, item) for item in items} for model in POOL}
    verdict = qualify(items, judged, POOL, SynthesisSettings(reviewers=2, probe="refuse"))
    assert "no model of the pool tells right from wrong better than chance" in "\n".join(verdict.faults)
    said = "\n".join(verdict.words)
    for model in POOL:
        assert f"{model} cannot tell right from wrong" in said or f"{model} prefers wrong answers" in said
    assert "small-1 gives the same score to 100% of all answers." in said
