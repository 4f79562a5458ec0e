"""Rounds without `max_proposals` end by their pace; responses that were cut get more room."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Scripted, good_reply
from test_protocol import answers, live
from test_rounds import synthesize

from gra.models.base import Reply, Request
from gra.synthesis.committee.stopping import LOOK, Pace
from gra.synthesis.settings import MOST_PROPOSALS, SynthesisSettings


def ended(wanted: int, yields: list[bool]) -> int:
    """Proposals made by a round of such proposals (True: a sample)."""
    pace = Pace(wanted, MOST_PROPOSALS * wanted, fixed=False)
    for count in range(1, pace.limit + 1):
        unique = sum(yields[:count])
        if unique >= wanted or (pace.due(count) and pace.ends(count, unique)):
            return count
    return pace.limit


@settings(max_examples=30)
@given(st.integers(1, 12), st.floats(0, 1), st.randoms())
def test_a_round_is_never_longer_than_its_bound_nor_shorter_than_four_a_sample(
    wanted: int, share: float, rng: object
) -> None:
    yields = [rng.random() < share for _ in range(MOST_PROPOSALS * wanted)]  # type: ignore[attr-defined]
    count = ended(wanted, yields)
    assert sum(yields[:count]) >= wanted or count >= LOOK * wanted
    assert count <= MOST_PROPOSALS * wanted


@pytest.mark.parametrize(
    ("every", "proposals", "full"), [(1, 50, True), (5, 250, True), (20, 1000, True), (25, 200, False)]
)
def test_one_sample_in_twenty_fills_a_round_and_one_in_twenty_five_ends_it_early(
    every: int, proposals: int, full: bool
) -> None:
    yields = [(i + 1) % every == 0 for i in range(1000)]
    assert ended(50, yields) == proposals
    assert (sum(yields[:proposals]) >= 50) == full


def test_a_round_that_runs_dry_ends_at_the_next_look() -> None:
    assert ended(50, [i < 30 for i in range(1000)]) == 400  # 30 in the first 200: goes on; none in the next 200: ends
    assert ended(50, [False] * 1000) == 200


def test_a_limit_that_was_given_is_kept() -> None:
    pace = Pace(10, 400, fixed=True)
    assert not any(pace.due(count) for count in range(1, 401))
    assert SynthesisSettings(max_proposals=7, samples_per_round=3).proposal_limit == 7
    assert SynthesisSettings(samples_per_round=3).proposal_limit == 60


def poor(request: Request) -> str:
    """A committee that lets every sixth instruction pass."""
    if request.schema_name == "check":
        ok = request.seed % 2 == 0
        return json.dumps({"reasonableness": ok, "completeness": True, "clarity": True, "comment": ""})
    return good_reply(request)


def test_a_round_of_few_samples_is_filled_the_same_way_at_any_concurrency(tmp_path: Path) -> None:
    found = []
    for concurrency in (1, 50):
        result = synthesize(
            Scripted(poor, jitter=0.002),
            tmp_path / f"{concurrency}.sqlite",
            concurrency=concurrency,
            rounds=1,
            samples_per_round=4,
            max_proposals=None,
            tau=0.0,
            adjudicate=False,
            disputed="keep",
        )
        found.append(([o.id for o in result.kept], [(o.id, o.reason) for o in result.rejected], result.short))
    assert found[0] == found[1]
    kept, rejected, short = found[0]
    assert len(kept) + len(rejected) > 4 * 4
    assert (len(kept), short) == (4, [])


def test_a_committee_that_keeps_nothing_ends_after_four_proposals_a_sample(tmp_path: Path) -> None:
    mute = Scripted(lambda request: good_reply(request) if request.schema_name == "annotate_seed" else "no")
    result = synthesize(mute, tmp_path / "j.sqlite", rounds=2, samples_per_round=5, max_proposals=None)
    assert (len(result.rejected), result.short) == (20, [1])


# Long answers.


@pytest.mark.parametrize(
    ("needs", "limits"), [(100, [200]), (300, [200, 400]), (700, [200, 400, 800]), (900, [200, 400, 800])]
)
def test_a_response_that_was_cut_gets_twice_the_room_up_to_four_times(needs: int, limits: list[int]) -> None:
    asked: list[int] = []

    def say(ask: object) -> str | Reply:
        request = ask.request  # type: ignore[attr-defined]
        if ask.step != "respond":  # type: ignore[attr-defined]
            return answers()(ask)  # type: ignore[arg-type]
        asked.append(request.max_tokens)
        return Reply("word " * min(needs, request.max_tokens), 1, 1, "length" if needs > request.max_tokens else "stop")

    decoding = {"respond": {"max_tokens": 200}}
    outcome, _ = live(say, decoding=decoding)
    assert asked == limits
    assert (outcome.reason == "response_missing") == (needs > 800)
    asked.clear()
    outcome, _ = live(say, decoding=decoding, long_answers=1)
    assert set(asked) == {200}


def test_only_a_cut_raises_the_room_and_only_of_responses() -> None:
    asked: list[tuple[str, int]] = []

    def say(ask: object) -> str | Reply:
        step, request = ask.step, ask.request  # type: ignore[attr-defined]
        asked.append((step, request.max_tokens))
        if step == "respond" and len([s for s, _ in asked if s == "respond"]) == 1:
            return ""  # of no use, but not cut
        if step == "instruction" and len([s for s, _ in asked if s == "instruction"]) == 1:
            return Reply("Task", 1, 1, "length")
        return answers()(ask)  # type: ignore[arg-type]

    live(say)
    limits = SynthesisSettings().decoding
    assert [n for step, n in asked if step == "respond"] == [limits.respond.max_tokens] * 2
    assert [n for step, n in asked if step == "instruction"] == [limits.instruction.max_tokens] * 2
