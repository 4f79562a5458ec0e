"""What a person hears of a run's replies: each thing once a model, and the models that are of little use."""

from __future__ import annotations

from typing import Any

from gra.synthesis.committee.records import CallRecord, Outcome, Roles
from gra.synthesis.output.card import CardInfo, card_text
from gra.synthesis.output.cost import in_vain, in_vain_in_words
from gra.synthesis.output.stats import MOST_NAMES, statistics
from gra.synthesis.replies.remarks import ENOUGH, Remarks, troubles

FAULT = "refused: HTTP 402: insufficient <b>credits</b>"


def call(model: str, fault: str | None = None, *notes: str, step: str = "check") -> CallRecord:
    return CallRecord("k", step, "reviewer-1", model, 0, 10, 5, fault is None, fault, notes)


def stats_of(*calls: CallRecord) -> dict[str, Any]:
    outcome = Outcome("r1-0", 1, 0, "coding", Roles("a", ("b",), None, "c"), (), "rejected", "disputed", calls=calls)
    return statistics([], [outcome])


def test_each_thing_is_said_once_a_model() -> None:
    remarks = Remarks()
    calls = [call("a", None, "finish `odd`", "reasoning cut off")] * 3 + [call("b", None, "finish `odd`")] * 2
    said = remarks.see(calls) + remarks.see(calls)
    assert len(said) == 3
    assert sum("unknown finish reason `odd`" in text for text in said) == 2


def test_a_model_of_no_use_is_heard_of_while_the_run_is_under_way() -> None:
    said = Remarks().see([call("a", FAULT)] * 20 + [call("b"), *[call("b", "empty")] * 20])
    assert [text for text in said if "none of its first" in text] == [
        f"model a: none of its first {ENOUGH} replies is usable; the last: {FAULT}"
    ]
    assert sum("its server refused a call: HTTP 402" in text for text in said) == 1


def test_a_model_that_makes_up_words_does_not_fill_the_log_or_the_statistics() -> None:
    calls = [call("a", None, f"field `{i}`") for i in range(500)]
    assert len(Remarks().see(calls)) < 20
    noted = stats_of(*calls)["replies"]["a"]["check"]["noted"]
    assert (len(noted), sum(noted.values()), noted["field (others)"]) == (MOST_NAMES + 1, 500, 500 - MOST_NAMES)


def test_models_of_little_use_are_named_worst_first_in_the_card_too() -> None:
    calls = (
        [call("a", FAULT)] * 6
        + [call("b"), *[call("b", "no JSON object")] * 3]
        + [call("c"), call("c", "keywords: bad")] * 2
    )
    stats = stats_of(*calls)
    assert stats["refused"] == {"a": {"calls": 6, "refused": 6, "words": "HTTP 402: insufficient <b>credits</b>"}}
    assert stats["replies"]["b"]["check"] == {"calls": 4, "unusable": {"no_json": 3}, "noted": {}}
    assert stats["replies"]["c"]["check"]["unusable"] == {"form": 2}
    assert troubles(stats["replies"], stats["refused"]) == [
        "a: 6 of 6 replies are unusable (refused 6); the first refusal: HTTP 402: insufficient <b>credits</b>",
        "b: 3 of 4 replies are unusable (no_json 3)",
    ]
    card = card_text(CardInfo("seeds", "mit", models=("a", "b", "c")), stats)
    assert "> **a: 6 of 6 replies are unusable" in card
    assert "<b>" not in card
    assert "| b | check | 4 | 75.0% | no\\_json 3 | - |" in card


def test_calls_in_vain_are_what_was_recorded_beyond_what_is_reported() -> None:
    reported = stats_of(call("a"), call("b"))["tokens"]
    recorded = {
        "a": {
            "reviewer-1": {"in": 30, "out": 15, "calls": 3, "unknown": 0},
            "generator": {"in": 7, "out": 1, "calls": 1, "unknown": 0},
        },
        "b": {"reviewer-1": {"in": 10, "out": 5, "calls": 1, "unknown": 0}},
    }
    vain = in_vain(recorded, reported)
    assert vain["by_model"] == {"a": {"calls": 3, "in": 27, "out": 11}, "b": {"calls": 0, "in": 0, "out": 0}}
    assert in_vain_in_words(vain) == "3 calls of proposals that were started but not needed (27 tokens in, 11 out)"
    unknown = in_vain({"a": {"generator": {"in": None, "out": None, "calls": 2, "unknown": 2}}}, {})
    assert unknown["by_model"] == {"a": {"calls": 2, "in": None, "out": None}}
    assert (unknown["calls"], unknown["in"]) == (2, None)
