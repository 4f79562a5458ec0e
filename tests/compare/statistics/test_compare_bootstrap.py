"""Intervals: they cover the truth as often as they say, they are antisymmetric, and unequal items are refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gra.compare.statistics.bootstrap import level_of, paired_bootstrap
from gra.compare.statistics.item_scores import FEW_CLUSTERS, Outcomes
from gra.errors import EvalError

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 25), st.integers(0, 2**32 - 1))


def ids(n: int) -> tuple[str, ...]:
    return tuple(f"i{k:05d}" for k in range(n))


def outcomes(correct: np.ndarray, replicates: tuple[int, ...] | None = None) -> Outcomes:
    return Outcomes(ids(correct.shape[1]), correct.astype(float), replicates or tuple(range(len(correct))))


def random_arm(rng: np.random.Generator, replicates: int, n: int) -> dict[str, Outcomes]:
    return {task: outcomes(rng.integers(0, 2, (replicates, size))) for task, size in (("one", n), ("two", 2 * n))}


def coverage(simulate, truth: float, trials: int) -> tuple[float, float]:
    """Shares of trials whose interval holds `truth`, and whose interval would hold it if it were half as wide."""
    held = half = 0
    for trial in range(trials):
        found = paired_bootstrap(*simulate(np.random.default_rng([trial, 5])), resamples=600, seed=trial).mean
        middle, reach = (found.low + found.high) / 2, (found.high - found.low) / 2
        held += found.low <= truth <= found.high
        half += abs(truth - middle) <= reach / 2
    return held / trials, half / trials


def test_interval_covers_the_true_difference_as_often_as_it_says():
    """400 simulated pairs of arms over benchmarks of unequal size; 95 % +- 3 standard errors (1.1 %) and 1 % for small samples."""

    def simulate(rng):
        first, second = {}, {}
        for task, n, p, q in (("a", 60, 0.7, 0.6), ("b", 200, 0.4, 0.45), ("c", 120, 0.9, 0.7)):
            ease = rng.random(n)  # shared by both arms, so that pairing matters
            first[task] = outcomes((ease < p)[None])
            second[task] = outcomes(((ease < q) ^ (rng.random(n) < 0.1))[None])
        return first, second

    flipped = [(0.7, 0.6), (0.4, 0.45), (0.9, 0.7)]
    truth = float(np.mean([p - (q * 0.9 + (1 - q) * 0.1) for p, q in flipped]))
    held, half = coverage(simulate, truth, 400)
    assert 0.91 <= held <= 0.98
    assert half < 0.80  # the test would notice intervals of half the width (68 % expected)


def test_interval_with_many_seeds_covers_the_mean_over_seeds_that_were_not_drawn():
    """Ten training seeds, whose noise is as large as the items': the seed level must be in the interval."""

    def simulate(rng):
        def arm(level):
            chance = np.clip(level + rng.normal(0, 0.06, (10, 1)) + rng.normal(0, 0.05, (10, 100)), 0, 1)
            return {"a": outcomes(rng.random((10, 100)) < chance)}

        return arm(0.6), arm(0.5)

    held, half = coverage(simulate, 0.1, 150)
    assert 0.89 <= held <= 0.995
    assert half < 0.85


def test_items_alone_would_be_too_narrow_where_seeds_matter():
    """Seed noise widens the interval: averaging over seeds and resampling items only would hide it."""
    rng = np.random.default_rng(0)
    levels = np.array([0.3, 0.5, 0.7, 0.4, 0.6])[:, None]
    first = {"a": outcomes(rng.random((5, 2000)) < levels)}
    second = {"a": outcomes(rng.random((5, 2000)) < 0.5)}
    both = paired_bootstrap(first, second, resamples=2000).mean
    averaged = [{"a": outcomes(arm["a"].correct.mean(axis=0, keepdims=True))} for arm in (first, second)]
    items = paired_bootstrap(*averaged, resamples=2000).mean
    assert items.value == pytest.approx(both.value)
    assert both.high - both.low > 3 * (items.high - items.low)


@settings(max_examples=60, deadline=None)
@given(SHAPES, SHAPES)
def test_swapped_arms_negate_everything(one, other):
    n = one[1]
    first = random_arm(np.random.default_rng(one[2]), one[0], n)
    second = random_arm(np.random.default_rng([other[2], 1]), other[0], n)
    there = paired_bootstrap(first, second, resamples=200, seed=3)
    back = paired_bootstrap(second, first, resamples=200, seed=3)
    for a, b in [(there.mean, back.mean), *((there.tasks[t], back.tasks[t]) for t in there.tasks)]:
        assert (b.value, b.low, b.high) == pytest.approx((-a.value, -a.high, -a.low), abs=1e-9)
        assert a.p == pytest.approx(b.p)
        assert a.low - 1e-12 <= a.high


@settings(max_examples=30, deadline=None)
@given(SHAPES)
def test_equal_arms_differ_by_nothing_which_does_not_prove_them_equal(shape):
    arm = random_arm(np.random.default_rng(shape[2]), shape[0], shape[1])
    found = paired_bootstrap(arm, arm, resamples=200)
    for one in (found.mean, *found.tasks.values()):
        assert (one.value, one.p) == (0, 1)
        assert one.low == -one.high < 0


@settings(max_examples=30, deadline=None)
@given(SHAPES, st.randoms(use_true_random=False))
def test_order_of_items_does_not_matter(shape, random):
    rng = np.random.default_rng(shape[2])
    first, second = random_arm(rng, shape[0], shape[1]), random_arm(rng, shape[0], shape[1])
    order = list(range(shape[1]))
    random.shuffle(order)
    shuffled = Outcomes(
        tuple(np.array(ids(shape[1]))[order]), second["one"].correct[:, order], second["one"].replicates
    )
    assert paired_bootstrap(first, second, resamples=200) == paired_bootstrap(
        first, {**second, "one": shuffled}, resamples=200
    )


def test_value_is_the_mean_over_benchmarks_not_over_items():
    first = {"small": outcomes(np.ones((1, 10))), "large": outcomes(np.zeros((1, 1000)))}
    second = {"small": outcomes(np.zeros((1, 10))), "large": outcomes(np.zeros((1, 1000)))}
    found = paired_bootstrap(first, second, resamples=200)
    assert found.mean.value == 0.5
    assert found.tasks["small"].value == 1.0
    assert list(found.tasks) == ["small", "large"]


def test_pairing_narrows_the_interval_of_arms_that_agree_on_items():
    rng = np.random.default_rng(1)
    correct = rng.integers(0, 2, (1, 1000))
    better = correct.copy()
    better[0, :30] = 1
    paired = paired_bootstrap({"a": outcomes(better)}, {"a": outcomes(correct)}, resamples=2000).mean
    alone = paired_bootstrap(
        {"a": outcomes(better)}, {"a": outcomes(correct[:, rng.permutation(1000)])}, resamples=2000
    ).mean
    assert paired.value == pytest.approx(alone.value)
    assert paired.high - paired.low < 0.3 * (alone.high - alone.low)


def test_patterns_resample_like_items():
    """Drawing counts of patterns has the distribution of drawing items, checked against the slow way."""
    rng = np.random.default_rng(2)
    first, second = rng.integers(0, 2, 80), rng.integers(0, 2, 80)
    found = paired_bootstrap({"a": outcomes(first[None])}, {"a": outcomes(second[None])}, resamples=40_000).mean
    drawn = (first - second)[rng.integers(0, 80, (40_000, 80))].mean(axis=1)
    # one item: 0.0125
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.0126)
    assert found.p == pytest.approx(2 * min((drawn <= 0).mean(), (drawn >= 0).mean()), abs=0.02)


def clustered(correct: np.ndarray, clusters: tuple[str, ...]) -> Outcomes:
    return Outcomes(ids(correct.shape[1]), correct.astype(float), clusters=clusters)


def parts(count: int, size: int) -> tuple[str, ...]:
    return tuple(f"c{k // size:03d}" for k in range(count * size))


def test_clusters_widen_the_interval_when_their_items_fall_together():
    rng = np.random.default_rng(3)
    fate, other = np.repeat(rng.integers(0, 2, 40), 25)[None], rng.integers(0, 2, (1, 1000))
    by_item = paired_bootstrap({"a": outcomes(fate)}, {"a": outcomes(other)}, resamples=2000)
    by_cluster = paired_bootstrap(*({"a": clustered(arm, parts(40, 25))} for arm in (fate, other)), resamples=2000)
    assert (by_item.clustered, by_cluster.clustered) == ({}, {"a": 40})
    assert by_cluster.mean.value == by_item.mean.value
    assert by_cluster.mean.high - by_cluster.mean.low > 2.5 * (by_item.mean.high - by_item.mean.low)


@settings(max_examples=20, deadline=None)
@given(st.integers(FEW_CLUSTERS, 60), st.integers(0, 2**32 - 1))
def test_a_cluster_of_one_item_is_that_item(n, seed):
    arms = np.random.default_rng(seed).integers(0, 2, (2, 1, n))
    plain = paired_bootstrap(*({"a": outcomes(arm)} for arm in arms), resamples=300).mean
    single = paired_bootstrap(*({"a": clustered(arm, parts(n, 1))} for arm in arms), resamples=300).mean
    assert dataclasses.astuple(single) == pytest.approx(dataclasses.astuple(plain), abs=1e-9)


def test_too_few_clusters_are_drawn_by_item():
    arms = np.random.default_rng(6).integers(0, 2, (2, 1, 190))
    for count, size in ((19, 10), (1, 190)):
        found = paired_bootstrap(*({"a": clustered(arm, parts(count, size))} for arm in arms), resamples=300)
        assert found == paired_bootstrap(*({"a": outcomes(arm)} for arm in arms), resamples=300)


def test_clusters_are_drawn_as_a_plain_loop_draws_them():
    """Unequal clusters, whole ones with replacement, the ratio of their sums: against the slow way, written independently."""
    rng = np.random.default_rng(8)
    sizes = rng.integers(1, 30, 30)
    clusters = tuple(f"c{k:02d}" for k, size in enumerate(sizes) for _ in range(size))
    easy = np.repeat(rng.random(30), sizes)
    first, second = rng.random(len(clusters)) < easy, rng.random(len(clusters)) < easy * 0.8
    found = paired_bootstrap(
        {"a": clustered(first[None], clusters)}, {"a": clustered(second[None], clusters)}, resamples=20_000
    ).mean
    members = [[place for place, name in enumerate(clusters) if name == f"c{k:02d}"] for k in range(30)]
    drawn = []
    for _ in range(4000):
        places = [place for k in rng.integers(0, 30, 30) for place in members[k]]
        drawn.append(sum(int(first[place]) - int(second[place]) for place in places) / len(places))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.05 * (high - low))


def test_a_clustered_interval_covers_the_truth_where_one_by_item_does_not():
    """40 clusters of 25 items with effects of their own: 95 % +- 3 standard errors (1.3 %) and 2 % for few clusters."""

    def simulate(rng):
        effect = np.repeat(rng.normal(0, 0.1, 40), 25)
        first, second = rng.random(1000) < 0.6 + effect, rng.random(1000) < 0.5 - effect
        return tuple({"a": clustered(arm[None], parts(40, 25))} for arm in (first, second))

    held, half = coverage(simulate, 0.1, 300)
    assert 0.89 <= held <= 0.985
    assert half < 0.82
    by_item, _ = coverage(lambda rng: tuple({"a": outcomes(arm["a"].correct)} for arm in simulate(rng)), 0.1, 300)
    assert by_item < 0.90


@settings(max_examples=30, deadline=None)
@given(SHAPES)
def test_an_arms_own_interval_is_that_of_its_difference_from_nothing(shape):
    arm = random_arm(np.random.default_rng(shape[2]), shape[0], shape[1] + 100)  # enough that no item stands out
    nothing = {task: Outcomes(one.doc_ids, np.zeros_like(one.correct), one.replicates) for task, one in arm.items()}
    own = level_of(arm, resamples=200, groups={"g": ["one"]}, items_only=True)
    difference = paired_bootstrap(arm, nothing, resamples=200, groups={"g": ["one"]}, items_only=True)
    assert own.groups["g"] == own.tasks["one"]
    for here, there in [(own.mean, difference.mean), *((own.tasks[t], difference.tasks[t]) for t in arm)]:
        assert dataclasses.astuple(here) == pytest.approx(dataclasses.astuple(there)[:3], abs=1e-12)


def test_items_that_do_not_match_are_named_with_their_counts():
    first, second = outcomes(np.ones((1, 10))), outcomes(np.ones((1, 8)))
    with pytest.raises(EvalError, match=r"quiz: .* 10 items in the first, 8 in the second, 8 shared .*'i00008'"):
        paired_bootstrap({"quiz": first}, {"quiz": second})
    with pytest.raises(EvalError, match=r"share 0 benchmarks, but 1 are only in the first \(quiz\) and 1 .*\(other\)"):
        paired_bootstrap({"quiz": first}, {"other": first})
    one, other = (clustered(np.ones((1, 100)), parts(count, 100 // count)) for count in (25, 50))
    with pytest.raises(EvalError, match="q: the two arms group its items differently"):
        paired_bootstrap({"q": one}, {"q": other})
    with pytest.raises(EvalError, match="different replicates"):
        paired_bootstrap({"a": first, "b": outcomes(np.ones((2, 10)))}, {"a": first, "b": first})
