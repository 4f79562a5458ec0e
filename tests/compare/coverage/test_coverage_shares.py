"""The share of clusters that a set covers: exact where it can be counted, fair between sizes, and with intervals that hold."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gra.compare.coverage.shares import averaged, clusters, covered, likely

COUNTS = st.lists(st.integers(0, 4), min_size=2, max_size=5).filter(lambda found: 1 <= sum(found) <= 9)


@settings(max_examples=40, deadline=None)
@given(COUNTS, st.data())
def test_the_share_is_the_mean_over_all_draws(counts: list[int], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, sum(counts)))
    members = [cluster for cluster, n in enumerate(counts) for _ in range(n)]
    every = [len(set(draw)) / len(counts) for draw in combinations(members, size)]
    found = covered(np.array(counts), size, 0, resamples=20)
    assert found.value == pytest.approx(np.mean(every))
    assert 0 <= found.low <= found.value <= found.high <= 1


@settings(max_examples=60, deadline=None)
@given(COUNTS)
def test_probabilities_are_of_all_clusters_and_the_empty_ones_share_what_is_unseen(counts: list[int]) -> None:
    found = likely(np.array(counts))
    assert found.sum() == pytest.approx(1)
    assert (found >= 0).all()
    if 1 in counts and 0 in counts and sum(counts) > 1 and counts.count(1) > 1:
        assert found[np.array(counts) == 0].max() > 0


def test_a_set_of_another_size_is_counted_as_if_it_had_that_of_the_smallest() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(60))
    small, large = rng.multinomial(300, p), rng.multinomial(3000, p)
    shares = [covered(counts, 300, 0) for counts in (small, large)]
    assert abs(shares[0].value - shares[1].value) < 0.06
    assert covered(large, 3000, 0).value > shares[1].value + 0.05, "else the case shows nothing"
    with pytest.raises(ValueError, match="301 of 300"):
        covered(small, 301, 0)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(50))
    truth = (1 - (1 - p) ** 500).mean()
    found = [covered(rng.multinomial(500, p), 500, trial, resamples=200) for trial in range(200)]
    assert np.mean([one.low <= truth <= one.high for one in found]) > 0.88


def test_clusters_are_those_of_the_vectors_and_of_equal_numbers() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(8, dtype=np.float32)
    broad, narrow = (
        (centres[rng.integers(0, kinds, 400)] + rng.normal(0, 0.02, (400, 8))).astype(np.float32) for kinds in (8, 2)
    )
    counts = clusters({"broad": broad, "narrow": narrow[:200]}, 200, 0)
    assert {name: {int(one.sum()) for one in found} for name, found in counts.items()} == {
        "broad": {400},
        "narrow": {200},
    }
    assert {len(one) for found in counts.values() for one in found} == {40}  # five samples a cluster
    shares = {name: averaged(found, 200, 0) for name, found in counts.items()}
    assert shares["broad"].low > shares["narrow"].high
