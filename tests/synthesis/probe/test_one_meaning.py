"""`severity`, `constant` and `equal` mean the same in a run's health (stats.json) and in a probe (probe.json): from the same
reviews come the same figures."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_committee_health import account, outcome

from gra.synthesis.committee.records import DIMENSIONS, Review
from gra.synthesis.probe.items import Item
from gra.synthesis.probe.model_comparison import severity
from gra.synthesis.probe.reviewer import assess

MODELS = ("a", "b", "c")
REVIEW = st.one_of(
    st.lists(st.integers(0, 10), min_size=6, max_size=6), st.integers(0, 10).map(lambda score: [score] * 6)
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(MODELS), REVIEW, min_size=1), min_size=10, max_size=30))
def test_the_same_reviews_give_the_same_figures(reviews: list[dict[str, list[int]]]) -> None:
    assume(sum(len(given) > 1 and "a" in given for given in reviews) >= 10)
    health = account([outcome(number, given) for number, given in enumerate(reviews)])["reviewers"]["a"]
    items = [
        Item(str(n), "right" if n % 2 else "other", str(n), "coding", "i", "r", bool(n % 2))
        for n in range(len(reviews))
    ]
    scores = {
        model: {
            str(n): dict(zip(DIMENSIONS, given[model], strict=True))
            for n, given in enumerate(reviews)
            if model in given
        }
        for model in MODELS
    }
    probe = assess("a", items, scores["a"], 8.0)
    assert probe.scale["constant"] == pytest.approx(health["constant"], abs=1e-4)
    assert probe.scale["equal"] == pytest.approx(health["equal"], abs=1e-4)
    table = {model: {item: fmean(values.values()) for item, values in given.items()} for model, given in scores.items()}
    found = severity("a", table)
    assert found is not None
    assert found.value == pytest.approx(health["severity"], abs=1e-9)


def test_what_the_words_mean() -> None:
    """Of three reviews with six scores each, one has all scores the same, two have the mean 5; b scores 2 points more."""
    own = [[5] * 6, [4, 6, 5, 5, 5, 5], [0, 1, 0, 1, 0, 1]]
    found = account([outcome(n, {"a": scores, "b": [min(10, s + 2) for s in scores]}) for n, scores in enumerate(own)])[
        "reviewers"
    ]
    assert found["a"]["severity"] == pytest.approx(2)
    assert found["b"]["severity"] == pytest.approx(-2)
    assert found["a"]["constant"] == pytest.approx(2 / 3)
    assert found["a"]["equal"] == pytest.approx(1 / 3)


def test_of_one_score_a_review_nothing_is_said_of_equal_ones() -> None:
    """As of a committee that answers one question by probability."""
    reviewed = [replace(outcome(n, {"a": [5] * 6}), reviews=(Review("a", {"overall": 5.0}),)) for n in range(30)]
    found = account(reviewed)
    assert found["reviewers"]["a"]["equal"] is None
    assert found["reviewers"]["a"]["constant"] == 1
    assert found["warnings"] == ["a gives nearly every response the same score (100% of 30 reviews, mean 5.0)"]
