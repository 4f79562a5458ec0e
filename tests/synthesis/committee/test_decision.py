"""The gate: the paper's rule and worked cases, exactness at the thresholds, and what missing reviews do."""

from __future__ import annotations

import statistics
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.synthesis.committee.gate import adjudicated_verdict, composite, gate
from gra.synthesis.committee.records import DIMENSIONS
from gra.synthesis.settings import SynthesisSettings

review = st.fixed_dictionaries({name: st.integers(0, 10) for name in DIMENSIONS})
committee = st.lists(review, min_size=3, max_size=3)


def flat(value: int, **others: int) -> dict[str, int]:
    return {**dict.fromkeys(DIMENSIONS, value), **others}


@given(committee, st.sampled_from(["population", "sample"]))
def test_gate_follows_the_rule(reviews: list[dict[str, int]], form: str) -> None:
    settings = SynthesisSettings(std=form)
    result = gate(reviews, settings)
    values = [composite(r) for r in reviews]
    mean = sum(values, Fraction(0)) / 3
    squares = sum(((v - mean) ** 2 for v in values), Fraction(0)) / (3 if form == "population" else 2)
    expected = "reject" if mean < 8 else "accept" if squares <= Fraction(9, 4) else "adjudicate"
    assert result.verdict == expected
    spread = statistics.pstdev if form == "population" else statistics.stdev
    assert result.std == pytest.approx(spread(map(float, values)), abs=1e-9)
    assert result.mean == pytest.approx(float(mean))


@given(committee)
def test_sample_form_is_never_more_lenient(reviews: list[dict[str, int]]) -> None:
    population, sample = (gate(reviews, SynthesisSettings(std=form)).verdict for form in ("population", "sample"))
    assert (population, sample) in {(v, v) for v in ("accept", "reject", "adjudicate")} | {("accept", "adjudicate")}


@given(committee, st.permutations(range(3)))
def test_order_of_reviewers_does_not_matter(reviews: list[dict[str, int]], order: list[int]) -> None:
    assert gate(reviews, SynthesisSettings()) == gate([reviews[i] for i in order], SynthesisSettings())


def test_mean_of_exactly_tau_passes_despite_binary_fractions() -> None:
    reviews = [flat(8, correctness=7), flat(8, clarity=9), flat(8)]  # 47/6, 49/6 and 8: thirds have no binary form
    assert gate(reviews, SynthesisSettings()).verdict == "accept"


def test_paper_cases_one_low_score_of_three_is_disputed() -> None:
    case_one = [flat(10), flat(10), flat(5)]  # mean 8.33, population std 2.36: a majority would keep it
    assert gate(case_one, SynthesisSettings()).verdict == "adjudicate"
    assert gate(case_one, SynthesisSettings(adjudicate=False)).verdict == "reject"
    assert gate(case_one, SynthesisSettings(adjudicate=False, disputed="keep")).verdict == "accept"


@pytest.mark.parametrize(
    ("count", "adjudicate", "verdict"),
    [(0, True, "adjudicate"), (1, True, "adjudicate"), (1, False, "reject"), (2, True, "accept")],
)
def test_missing_reviews(count: int, adjudicate: bool, verdict: str) -> None:
    result = gate([flat(9)] * count, SynthesisSettings(adjudicate=adjudicate))
    assert result.verdict == verdict
    if count == 0:
        assert result.mean is None
        assert result.std is None


def test_adjudicator_needs_tau_itself() -> None:
    assert adjudicated_verdict(flat(8), SynthesisSettings())
    assert not adjudicated_verdict(flat(8, ethicality=7), SynthesisSettings())
