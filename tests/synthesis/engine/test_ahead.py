"""Calls made ahead: the annotation of samples that are sure to stay fills the slots that a round's last proposals leave idle."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import RECORDS, ROLES, Scripted, good_reply
from test_rounds import synthesize

from gra.errors import Interrupted
from gra.models.base import Capabilities, Reply, Request
from gra.synthesis.committee.calls import Rules
from gra.synthesis.committee.protocol import Proposal, annotate, propose
from gra.synthesis.committee.records import Outcome
from gra.synthesis.engine.engine import Engine
from gra.synthesis.engine.journal import Journal
from gra.synthesis.rounds import Ahead
from gra.synthesis.settings import SynthesisSettings

RULES = Rules(0, SynthesisSettings())


class LastReviewsAreSlow(Scripted):
    """Notes the order of steps; the adjudicators and reviewers of a few samples take their time."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[str] = []

    async def chat(self, request: Request) -> Reply:
        self.steps.append(request.schema_name)
        if request.schema_name == "review" and request.seed is not None and request.seed % 5 == 0:
            await asyncio.sleep(0.2)
        return await super().chat(request)


class TurnByTurn(LastReviewsAreSlow):
    capabilities = Capabilities(queues=True)


def test_annotations_start_while_reviews_are_awaited_and_nothing_else_changes(tmp_path: Path) -> None:
    calm = synthesize(Scripted(), tmp_path / "1.sqlite", concurrency=1, rounds=1)
    backend = LastReviewsAreSlow()
    ahead = synthesize(backend, tmp_path / "16.sqlite", concurrency=16, rounds=1)
    assert ahead == calm
    assert backend.steps.index("annotate") < len(backend.steps) - 1 - backend.steps[::-1].index("review")
    again = Scripted()
    again = LastReviewsAreSlow()
    assert synthesize(again, tmp_path / "16.sqlite", concurrency=4, rounds=1) == calm
    assert "annotate" not in again.steps  # replies that came ahead are in the journal like any other


def test_no_call_goes_out_twice_for_being_made_ahead(tmp_path: Path) -> None:
    asked: list[str] = []

    def note(request: Request) -> str:
        asked.append(request.key)
        return good_reply(request)

    synthesize(Scripted(note, jitter=0.01), tmp_path / "j.sqlite", concurrency=16)
    assert len(asked) == len(set(asked))


def test_models_that_take_turns_are_asked_nothing_in_vain(tmp_path: Path) -> None:
    backend = TurnByTurn()
    synthesize(backend, tmp_path / "j.sqlite", concurrency=16, rounds=1)
    assert backend.steps.index("annotate") > len(backend.steps) - 1 - backend.steps[::-1].index("review")


def drafts() -> list[Outcome]:
    return [
        dataclasses.replace(
            Outcome(f"r1-{i:06d}", 1, i, "coding", ROLES, tuple(r.id for r in RECORDS), "accepted"),
            instruction=f"Do {i}.",
            response=f"Done {i}.",
            keywords=("a", "b", "c"),
            mean=8 + i % 3 / 2,
        )
        for i in range(6)
    ]


@pytest.mark.parametrize("told", [False, True], ids=["not needed", "told to stop"])
def test_what_was_begun_ahead_is_settled(tmp_path: Path, told: bool) -> None:
    class Slow(Scripted):
        begun = 0

        async def chat(self, request: Request) -> Reply:
            if request.schema_name != "annotate":
                return await super().chat(request)
            self.in_flight += 1
            self.begun += 1
            try:
                await asyncio.sleep(0.3)
            finally:
                self.in_flight -= 1
            return Reply(good_reply(request), 1, 1)

    async def main() -> int:
        backend = Slow(jitter=0.02)
        with Journal(tmp_path / "j.sqlite") as journal:
            engine = Engine(backend, journal, 8)
            ahead = Ahead(RULES, 100)
            for outcome in drafts():
                ahead.add(outcome)
            talks = (propose(Proposal(f"r1-{i:06d}", 1, i, "coding", RECORDS, ROLES), RULES) for i in range(12))
            assert len([o async for o in engine.stream(talks, later=ahead.next)]) == 12
            await asyncio.sleep(0.05)
            begun = backend.begun
            if told:
                engine.stop()
            await engine.settle()
            assert backend.in_flight == 0
            if told:
                with pytest.raises(Interrupted):  # nothing new goes out
                    await engine.drive(annotate(dataclasses.replace(drafts()[0], id="r1-000099"), RULES))
            return begun

    begun = asyncio.run(main())
    assert 0 < begun <= len(drafts())
    best = sorted(drafts(), key=lambda o: (-(o.mean or 0), o.index))
    with Journal(tmp_path / "j.sqlite") as journal:
        known = [journal.find(next(annotate(outcome, RULES))[0]) is not None for outcome in best]
    if told:
        assert known == [place < begun for place in range(len(best))]  # paid for, and there


@given(st.lists(st.one_of(st.none(), st.integers(0, 20).map(lambda n: n / 2)), max_size=30), st.integers(1, 10))
def test_the_best_come_first_and_no_more_than_the_limit_wait(means: list[float | None], most: int) -> None:
    ahead = Ahead(RULES, most)
    for i, mean in enumerate(means):
        ahead.add(dataclasses.replace(drafts()[0], id=f"s-{i}", index=i, mean=mean))
    wanted = sorted(range(len(means)), key=lambda i: (-(m if (m := means[i]) is not None else float("-inf")), i))[:most]
    found = []
    while (ask := ahead.next()) is not None:
        found.append(ask.sample)
    assert found == [f"s-{i}" for i in wanted]
