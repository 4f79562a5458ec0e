"""Nearly all items alike: no interval without width, checked against scipy and against brute force."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gra.compare.statistics.bootstrap import Level, level_of, paired_bootstrap
from gra.compare.statistics.edges import FEW, bonett_price, sign_test
from gra.compare.statistics.item_scores import Outcomes
from gra.intervals import wilson


def arm(right: int, n: int, trainings: int = 1, clusters: int = 0) -> Outcomes:
    correct = np.tile((np.arange(n) < right).astype(float), (trainings, 1))
    names = tuple(f"c{i % clusters:02d}" for i in range(n)) if clusters else None
    return Outcomes(tuple(f"i{i:05d}" for i in range(n)), correct, tuple(range(trainings)), names)


def own(found: Outcomes) -> Level:
    return level_of({"quiz": found}, resamples=400)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 3000), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_is_scipys(n: int, data: st.DataObject, level: float) -> None:
    right = data.draw(st.integers(0, n))
    expected = stats.binomtest(right, n).proportion_ci(level, method="wilson")
    assert wilson(right / n, n, float(stats.norm.ppf((1 + level) / 2))) == pytest.approx(
        (expected.low, expected.high), abs=1e-9
    )


@pytest.mark.parametrize(
    ("right", "n"), [(0, 164), (164, 164), (20, 20), (0, 1), (1, 1), (3, 164), (161, 164), (19, 20), (10, 20)]
)
def test_a_score_at_the_edge_gets_wilsons_interval(right: int, n: int) -> None:
    found = own(arm(right, n)).tasks["quiz"]
    expected = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert (found.value, found.low, found.high) == pytest.approx((right / n, expected.low, expected.high))
    assert found.low < found.high


@pytest.mark.parametrize("trainings", [1, 2, 3, 5])
@pytest.mark.parametrize("clusters", [0, 27, 57])
@pytest.mark.parametrize("right", [0, 1, 813, 814])
def test_no_interval_at_an_edge_is_without_width(trainings: int, clusters: int, right: int) -> None:
    found = own(arm(right, 814, trainings, clusters))
    for one in (found.mean, found.tasks["quiz"]):
        assert 0 <= one.low <= one.value <= one.high <= 1
        assert one.high - one.low > 0.002
    nothing = paired_bootstrap(
        {"quiz": arm(right, 814, trainings, clusters)}, {"quiz": arm(right, 814, trainings, clusters)}
    )
    for gap in (nothing.mean, nothing.tasks["quiz"]):
        assert gap.low == pytest.approx(-gap.high)
        assert gap.high > 0.002
        assert gap.p == 1
    whole = paired_bootstrap({"quiz": arm(814, 814, trainings, clusters)}, {"quiz": arm(0, 814, trainings, clusters)})
    for gap in (whole.mean, whole.tasks["quiz"]):
        assert gap.low < gap.value == gap.high == 1


def test_clusters_that_are_all_alike_count_as_so_many_units() -> None:
    found = own(arm(0, 814, clusters=57)).tasks["quiz"]
    assert found.high == pytest.approx(stats.binomtest(0, 57).proportion_ci(0.95, method="wilson").high)


def test_means_are_widened_by_benchmarks_at_the_edge() -> None:
    rng = np.random.default_rng(0)
    busy = Outcomes(tuple(map(str, range(500))), (rng.random((1, 500)) < 0.5).astype(float))
    other = Outcomes(busy.doc_ids, (rng.random((1, 500)) < 0.5).astype(float))
    alone, beside = level_of({"a": busy}).mean, level_of({"a": busy, "b": arm(0, 40)}).mean
    edge = own(arm(0, 40)).tasks["quiz"].high
    width = (beside.high - beside.low) * 2
    assert (alone.high - alone.low) < width < (alone.high - alone.low) + 2 * edge
    gap = paired_bootstrap({"a": busy, "b": arm(0, 40)}, {"a": other, "b": arm(0, 40)})
    single = paired_bootstrap({"a": busy}, {"a": other})
    assert (gap.mean.high - gap.mean.low) * 2 > single.mean.high - single.mean.low
    assert gap.mean.p >= 2 * min(stats.norm.cdf(0), 0.5 * single.mean.p) * 0.5


def test_arms_that_differ_on_few_items_get_an_exact_p() -> None:
    """Five items in favour of the first, none of the second: the bootstrap would say 0.01, McNemar's exact test says 1 / 16."""
    found = paired_bootstrap({"quiz": arm(80, 164)}, {"quiz": arm(75, 164)}).tasks["quiz"]
    assert found.p == pytest.approx(stats.binomtest(0, 5).pvalue)
    assert found.low < 0 < found.high
    for above, below in ((0, 0), (1, 0), (3, 2), (7, 1)):
        gaps = np.repeat([1.0, -1.0, 0.0], [above, below, 90])
        assert sign_test(gaps) == pytest.approx(stats.binomtest(above, above + below).pvalue if above + below else 1)


def test_bonett_and_price_add_two_items() -> None:
    gaps = np.repeat([1.0, -1.0, 0.0], [6, 2, 32])
    centre, variance = bonett_price(gaps, len(gaps))
    first, second = 7 / 42, 3 / 42  # as in their paper: (b + 1) / (n + 2), (c + 1) / (n + 2)
    assert (centre, variance) == pytest.approx((first - second, (first + second - (first - second) ** 2) / 42))


def test_an_interval_at_the_edge_covers() -> None:
    """A model right once in a hundred times on 164 items: the share of tests that hold the truth, all outcomes added up exactly."""
    for chance in (0.002, 0.01, 0.03):
        held = sum(
            stats.binom.pmf(right, 164, chance)
            for right in range(FEW)
            if (found := own(arm(right, 164)).tasks["quiz"]).low <= chance <= found.high
        )
        assert held > 0.93


def test_more_right_answers_never_lower_the_interval() -> None:
    found = [own(arm(right, 60)).tasks["quiz"] for right in range(61)]
    assert all(one.low <= two.low + 0.03 and one.high <= two.high + 0.03 for one, two in pairwise(found))
