"""Beside the paper, BBH and MMLU are means over their tasks and subjects: the bootstrap then runs over weighted items."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.compare.statistics.bootstrap import level_of
from gra.compare.statistics.item_scores import Outcomes, macro


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), min_size=1, max_size=60))
def test_the_mean_of_weighted_items_is_the_mean_of_the_clusters(items: list[tuple[str, bool]]) -> None:
    clusters = tuple(name for name, _ in items)
    one = Outcomes(tuple(map(str, range(len(items)))), np.array([[float(right) for _, right in items]]), (0,), clusters)
    parts = [np.mean([right for name, right in items if name == cluster]) for cluster in sorted(set(clusters))]
    assert macro(one).correct.mean() == pytest.approx(float(np.mean(parts)))


def test_without_clusters_nothing_changes() -> None:
    one = Outcomes(("a", "b"), np.array([[1.0, 0.0]]))
    assert macro(one) is one


def test_an_interval_is_about_the_macro_mean() -> None:
    """Thirty subjects, one of them huge and easy: the macro mean is far from the mean over items."""
    rng = np.random.default_rng(0)
    clusters = ["huge"] * 3000 + [f"small-{n // 20}" for n in range(29 * 20)]
    right = np.concatenate([rng.random(3000) < 0.9, rng.random(29 * 20) < 0.3]).astype(float)
    one = Outcomes(tuple(f"{n:05d}" for n in range(len(right))), right[None], (0,), tuple(clusters))
    plain, weighted = (
        level_of({"mmlu": outcome}, resamples=500, level=0.95, seed=0, groups={}).tasks["mmlu"]
        for outcome in (one, macro(one))
    )
    assert plain.value > 0.75
    assert weighted.value == pytest.approx((0.9 + 29 * 0.3) / 30, abs=0.03)
    assert weighted.low < weighted.value < weighted.high
