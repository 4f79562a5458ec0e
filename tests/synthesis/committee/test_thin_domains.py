"""Domains of few records: they borrow, every proposal sees another pair, and the run says so."""

from __future__ import annotations

import itertools
import logging
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.synthesis.committee.domains import NEAR, by_domain, demonstrations, fits, report_thin, shown
from gra.synthesis.committee.drawing import draw_proposal
from gra.synthesis.committee.randomness import stream
from gra.synthesis.committee.records import DOMAINS, Record
from gra.synthesis.settings import SynthesisSettings

MODELS = ("m1", "m2", "m3", "m4", "m5")


def records(domain: str, count: int, start: int = 0) -> list[Record]:
    return [
        Record(
            f"{domain}-{i}", f"Do the {domain} task {i}.", "Done.", domain, (domain, f"k{i}", "task"), f"Number {i}."
        )
        for i in range(start, start + count)
    ]


def alpaca_like(role_play: int) -> list[Record]:
    sizes = {
        "coding": 30,
        "mathematics": 40,
        "question answering": 200,
        "reasoning": 30,
        "language": 120,
        "creation": 80,
    }
    return [
        *itertools.chain.from_iterable(records(name, count) for name, count in sizes.items()),
        *records("role-play", role_play),
    ]


@pytest.mark.parametrize("edition", ["classic", "turns"])
@pytest.mark.parametrize("own", [1, 2])
def test_a_domain_of_one_or_two_seeds_shows_many_pairs(
    own: int, edition: str, caplog: pytest.LogCaptureFixture
) -> None:
    pool = alpaca_like(own)
    settings = SynthesisSettings(prompts=edition)
    domains = by_domain(pool, settings.shots, settings.thin_domain)
    assert set(domains) == set(DOMAINS)
    proposals = [
        p for i in range(1500) if (p := draw_proposal(0, 1, i, domains, MODELS, settings)).domain == "role-play"
    ]
    assert 150 < len(proposals) < 280
    pairs = Counter(frozenset(r.id for r in p.records) for p in proposals)
    assert len(pairs) >= 14
    assert max(pairs.values()) < len(proposals) / 4
    assert all(any(r.domain == "role-play" for r in p.records) for p in proposals)  # one of its own is always there
    borrowed = {r.domain for p in proposals for r in p.records} - {"role-play"}
    assert borrowed == set(NEAR["role-play"])
    with caplog.at_level(logging.WARNING):
        thin = report_thin(pool, domains, [])
        report_thin(pool, domains, thin)  # logged once per run
    assert thin == [{"domain": "role-play", "own": own, "borrowed": 16 - own, "from": list(NEAR["role-play"])}]
    assert caplog.text.count("domain role-play") == 1
    assert "synthesis.thin_domain" in caplog.text


def test_only_its_own_records_count_for_a_domains_quota() -> None:
    domains = by_domain([*records("coding", 90), *records("language", 10)], 2, 16)
    settings = SynthesisSettings(domains="pool")
    drawn = [draw_proposal(0, 1, i, domains, MODELS, settings).domain for i in range(600)]
    assert abs(drawn.count("language") / 600 - 0.1) < 0.05


def test_without_borrowing_the_pool_is_what_it_was() -> None:
    pool = alpaca_like(2)
    domains = by_domain(pool, 2)
    assert {name: len(entry.records) for name, entry in domains.items()} == Counter(record.domain for record in pool)
    assert "role-play" not in by_domain(alpaca_like(1), 2)


def test_a_domain_that_no_pool_can_serve_is_told(caplog: pytest.LogCaptureFixture) -> None:
    pool = records("coding", 1)
    domains = by_domain(pool, 2, 16)
    assert domains == {}
    thin = report_thin(pool, domains, [])
    assert thin == [{"domain": "coding", "own": 1, "borrowed": 0, "from": []}]
    assert "no proposals" in caplog.text


@given(st.integers(1, 40), st.integers(0, 30), st.integers(0, 20), st.integers(1, 4), st.integers(0, 10**6))
def test_what_is_shown_is_distinct_and_of_the_pool(own: int, other: int, least: int, shots: int, seed: int) -> None:
    pool = [*records("role-play", own), *records("creation", other)]
    for entry in by_domain(pool, shots, least).values():
        assert len(entry.records) == max(entry.own, min(own + other, max(least, entry.own)))
        for index in range(5):
            found = shown(entry, shots, stream(seed, index))
            assert len({r.id for r in found}) == shots
            turns = demonstrations(entry, 3, stream(seed, "d", index))
            assert len({r.id for r in turns}) == len(turns) == min(3, len(entry.examples))
            assert all(fits(r.instruction) for r in turns)
            if entry.own < len(entry.records):
                assert any(r.domain == found[0].domain for r in turns)


def test_the_same_records_are_borrowed_while_they_are_there() -> None:
    """A domain that grows by a record does not change all that its neighbours see."""
    first, second = by_domain(alpaca_like(2), 2, 16), by_domain([*alpaca_like(2), *records("creation", 1, 500)], 2, 16)
    same = set(first["role-play"].records) & set(second["role-play"].records)
    assert len(same) >= 14


def test_a_demonstration_is_one_short_request() -> None:
    assert fits("Describe the sea.")
    assert fits("A train covers 150 km in 2 hours. What is its average speed?")
    for text in ("", "x" * 241, "Sort these:\n1. sea", "One. Two. Three. Four.", "Who? Why?"):
        assert not fits(text)


def test_taken_keywords_are_those_of_the_newest_records() -> None:
    pool = [*records("coding", 20), *records("language", 20)]
    assert by_domain(pool, 2)["coding"].taken == ()
    assert by_domain(pool, 2, 0, 3)["coding"].taken == tuple(("coding", f"k{i}", "task") for i in (17, 18, 19))
    assert len(by_domain(pool, 2, 0, 99)["coding"].taken) == 20
    settings = SynthesisSettings(prompts="turns", taken=2)
    domains = by_domain(pool, 2, 0, settings.taken)
    assert {len(draw_proposal(0, 1, i, domains, MODELS, settings).taken) for i in range(9)} == {2}
