"""The round loop: cumulative pool, dedup, targets met exactly, and the same result whatever the concurrency."""

from __future__ import annotations

import asyncio
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import MODELS, Scripted, good_reply, scores

from gra.errors import SynthesisError
from gra.models.base import Request
from gra.reasons import REASONS
from gra.synthesis.committee.calls import Rules
from gra.synthesis.committee.domains import by_domain
from gra.synthesis.committee.records import Outcome, Record, Seed
from gra.synthesis.dedup.pool import TargetPoolProcess
from gra.synthesis.engine.engine import Engine
from gra.synthesis.engine.journal import Journal
from gra.synthesis.output.failure_report import judged
from gra.synthesis.rounds import Committee, allowance, draw_proposal
from gra.synthesis.settings import SynthesisSettings

SEEDS = [Seed(f"seed-{i}", f"seed instruction number {i}", f"answer {i}") for i in range(20)]


class Silent:
    def stage(self, name: str, total: int | None) -> None: ...
    def advance(self, outcome: Outcome | None) -> None: ...
    def heard(self, calls: Any) -> None: ...
    def deduplicated(self, distinct: int, duplicates: int) -> None: ...


@dataclass
class Result:
    """What a synthesis gave, read back from disk."""

    kept: list[Outcome]
    rejected: list[Outcome]
    short: list[int]
    failed: int


def synthesize(
    backend: Scripted,
    path: Path,
    concurrency: int = 8,
    seed: int = 0,
    screen: Any = None,
    listener: Any = None,
    state: Any = None,
    seeds: Any = None,
    **settings: object,
) -> Result:
    chosen = SynthesisSettings(
        **{
            "rounds": 2,
            "samples_per_round": 15,
            "max_proposals": 400,
            "dedup": {"model": "hash"},
            "parse_retries": 0,
            **settings,
        }
    )

    async def main() -> Result:
        dedup = TargetPoolProcess(chosen.dedup)
        try:
            with Journal(path) as journal:
                engine = Engine(backend, journal, concurrency)
                rules, folder = Rules(seed, chosen), path.with_suffix(".spool")
                told = listener or Silent()
                result = await Committee(engine, dedup, rules, backend.models, told, folder, screen, state).run(
                    seeds or SEEDS
                )
        finally:
            dedup.close()
        read = Result(list(result.kept), list(result.rejected), result.short, len(result.seeds.failed))
        result.remove()
        assert not list(folder.iterdir())
        return read

    return asyncio.run(main())


@pytest.mark.parametrize(("first", "again"), [(1, 1), (1, 32), (8, 8), (8, 3), (32, 32)])
def test_a_whole_run_made_again_from_its_journal_asks_nothing(tmp_path: Path, first: int, again: int) -> None:
    """Proposals that the first run had begun beyond the end of a round are not asked further by the second."""
    made = synthesize(Scripted(), tmp_path / "j.sqlite", concurrency=first)
    second = Scripted()
    same = synthesize(second, tmp_path / "j.sqlite", concurrency=again)
    assert second.calls == 0
    assert [o.id for o in same.kept] == [o.id for o in made.kept]


def test_each_round_keeps_its_samples_and_feeds_the_next(tmp_path: Path) -> None:
    result = synthesize(Scripted(), tmp_path / "j.sqlite")
    assert [sum(o.round == r for o in result.kept) for r in (1, 2)] == [15, 15]
    assert result.short == []
    first = {o.id for o in result.kept if o.round == 1}
    seeds = {s.id for s in SEEDS}
    assert all(set(o.parents) <= seeds for o in result.kept if o.round == 1)
    assert all(set(o.parents) <= seeds | first for o in result.kept if o.round == 2)
    assert any(set(o.parents) & first for o in result.kept if o.round == 2)
    assert all(o.reason in REASONS for o in result.rejected)
    assert all(o.summary for o in result.kept)
    indices = [o.index for o in result.kept + result.rejected if o.round == 1]
    # nothing silent: every proposal up to the last is accounted for
    assert sorted(indices) == list(range(len(indices)))


def test_same_result_at_any_concurrency_and_from_the_journal(tmp_path: Path) -> None:
    alone = synthesize(Scripted(), tmp_path / "1.sqlite", concurrency=1)
    crowd = synthesize(Scripted(jitter=0.004), tmp_path / "64.sqlite", concurrency=64)
    assert alone == crowd
    backend = Scripted()
    assert synthesize(backend, tmp_path / "64.sqlite", concurrency=3) == alone
    assert backend.calls == 0
    assert synthesize(Scripted(), tmp_path / "s.sqlite", seed=1) != alone


def test_roles_are_disjoint_and_every_model_takes_every_role(tmp_path: Path) -> None:
    result = synthesize(Scripted(), tmp_path / "j.sqlite", rounds=1, samples_per_round=30)
    outcomes = result.kept + result.rejected
    for o in outcomes:
        assert len({o.roles.generator, *o.roles.reviewers, o.roles.adjudicator}) == 5
    assert {o.roles.generator for o in outcomes} == set(MODELS) == {o.roles.adjudicator for o in outcomes}


def test_duplicates_are_dropped_with_the_sample_they_are_close_to_and_replaced(tmp_path: Path) -> None:
    def repetitive(request: Request) -> str:
        if request.schema_name == "instruction" and zlib.crc32(request.canonical) % 2:
            return json.dumps({"instruction": "Say the same thing again and again, word for word."})
        return good_reply(request)

    result = synthesize(Scripted(repetitive), tmp_path / "j.sqlite", rounds=1)
    assert len(result.kept) == 15
    assert sum("word for word" in o.instruction for o in result.kept) <= 1
    dropped = [o for o in result.rejected if o.reason == "duplicate"]
    assert dropped
    known = {o.id for o in result.kept + result.rejected} | {s.id for s in SEEDS}
    assert all(o.detail.split()[1].rstrip(",") in known for o in dropped)


def test_screened_samples_are_dropped_with_their_reason_and_the_round_is_refilled(tmp_path: Path) -> None:
    async def screen(outcome: Outcome) -> tuple[str, str] | None:
        return ("contaminated", "gsm8k/7") if outcome.index % 2 else None

    result = synthesize(Scripted(), tmp_path / "j.sqlite", screen=screen, rounds=1)
    assert len(result.kept) == 15
    assert all(o.index % 2 == 0 for o in result.kept)
    assert {o.detail for o in result.rejected if o.reason == "contaminated"} == {"gsm8k/7"}


def test_a_fault_of_the_dedup_process_reaches_the_run(tmp_path: Path) -> None:
    with pytest.raises(SynthesisError, match=r"dedup\.model"):
        synthesize(Scripted(), tmp_path / "j.sqlite", dedup={"model": str(tmp_path / "no-such-model")})


def test_a_round_that_runs_dry_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    result = synthesize(Scripted(), tmp_path / "j.sqlite", rounds=1, samples_per_round=15, max_proposals=16)
    assert result.short == [1]
    assert 0 < len(result.kept) < 15
    assert len(result.kept) + len(result.rejected) == 16


def test_nothing_usable_keeps_nothing_and_stops_after_the_round(tmp_path: Path) -> None:
    backend = Scripted(
        lambda request: good_reply(request) if request.schema_name == "annotate_seed" else "I am not sure."
    )
    result = synthesize(backend, tmp_path / "j.sqlite", max_proposals=20)
    assert (result.kept, result.short) == ([], [1])
    assert {o.reason for o in result.rejected} == {"keywords_missing"}
    assert not judged(result)  # type: ignore[arg-type]
    mute = synthesize(Scripted(lambda _: "no"), tmp_path / "k.sqlite")
    assert (mute.kept, mute.rejected, mute.failed) == ([], [], 20)
    assert not judged(mute)  # type: ignore[arg-type]


def test_a_committee_that_lets_nothing_pass_has_judged(tmp_path: Path) -> None:
    low = json.dumps(scores(1))
    backend = Scripted(lambda request: low if request.schema_name in ("review", "adjudicate") else good_reply(request))
    result = synthesize(backend, tmp_path / "j.sqlite", max_proposals=20)
    assert result.kept == []
    assert judged(result)  # type: ignore[arg-type]


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**6), st.floats(1e-6, 1))
def test_allowance_always_lets_the_round_go_on(finished: int, accepted: int, need: int, usual: float) -> None:
    assert allowance(finished, min(accepted, finished), need, usual) > finished


def test_a_small_round_starts_few_proposals_more_than_it_needs() -> None:
    """Each of them costs about nine calls. A round of 20 whose proposals are accepted four times in five needs about 25."""
    assert 25 <= allowance(0, 0, 20) <= 30
    assert allowance(10, 1, 20) > 50  # nearly nothing is accepted: it learns
    assert allowance(0, 0, 20, usual=0.2) > 100  # and so had the round before


@pytest.mark.parametrize("shares", ["uniform", "pool"])
def test_domains_are_drawn_as_asked(shares: str) -> None:
    pool = [Record(str(i), "x", "y", "coding" if i < 90 else "reasoning", ("a",), "s") for i in range(100)]
    pool.append(Record("lone", "x", "y", "language", ("a",), "s"))
    domains = by_domain(pool, 2)
    assert set(domains) == {"coding", "reasoning"}
    settings = SynthesisSettings(domains=shares)
    drawn = [draw_proposal(0, 1, i, domains, MODELS, settings).domain for i in range(400)]
    share = drawn.count("coding") / 400
    assert abs(share - (0.5 if shares == "uniform" else 0.9)) < 0.1
