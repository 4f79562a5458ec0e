"""Arms trained several times: the standard error against known cases, what may be claimed, and coverage in a simulation."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gra.compare.statistics.bootstrap import between, level_of, paired_bootstrap
from gra.compare.statistics.item_scores import Outcomes, Table
from gra.compare.statistics.trainings import Estimate, Parts, c4, estimate, mean_of, measure

SIMULATION = Path(__file__).parents[3] / "benchmarks" / "intervals.py"


def outcomes(
    correct: np.ndarray, clusters: tuple[str, ...] | None = None, replicates: tuple[int, ...] | None = None
) -> Outcomes:
    ids = tuple(f"i{k:05d}" for k in range(correct.shape[1]))
    return Outcomes(ids, correct.astype(float), replicates or tuple(range(len(correct))), clusters)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 4), st.integers(2, 4), st.integers(5, 40), st.integers(0, 2**32 - 1))
def test_the_parts_are_those_of_a_two_way_analysis_of_variance(first: int, second: int, n: int, seed: int) -> None:
    """Trainings crossed with items, written out with plain loops for each arm; the items' paired variance by numpy."""
    found = np.random.default_rng(seed).random((n, first + second))
    parts = measure(Table([], found, None), first)
    for side, luck in ((found[:, :first], parts.luck[0]), (found[:, first:], parts.luck[1])):
        total, by_training, by_item = side.mean(), side.mean(axis=0), side.mean(axis=1)
        residual = sum(
            (side[i, r] - by_training[r] - by_item[i] + total) ** 2 for i in range(n) for r in range(side.shape[1])
        ) / ((n - 1) * (side.shape[1] - 1))
        assert luck == pytest.approx(residual / n)
    gaps = found[:, :first].mean(axis=1) - found[:, first:].mean(axis=1)
    assert parts.items == pytest.approx(gaps.var(ddof=1) / n)
    assert parts.value == pytest.approx(gaps.mean())
    whole = estimate(parts)
    assert whole.variance >= parts.items  # never narrower than over items alone
    assert whole.seen == pytest.approx(
        sum(s.mean(axis=0).var(ddof=1) / s.shape[1] for s in (found[:, :first], found[:, first:]))
    )


def test_clusters_are_counted_as_wholes() -> None:
    """The linearised ratio, against cluster means where all clusters are equally large."""
    rng = np.random.default_rng(0)
    found = rng.random((300, 4)) + np.repeat(rng.normal(0, 1, (30, 4)), 10, axis=0)
    member = np.repeat(np.arange(30), 10)
    clustered = measure(Table([], found, member), 2)
    means = measure(Table([], found.reshape(30, 10, 4).mean(axis=1), None), 2)
    assert clustered.items == pytest.approx(means.items)
    assert clustered.luck == pytest.approx(means.luck)
    assert clustered.items_df == 29


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 6), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_where_only_training_matters_it_is_welchs_test(first: int, second: int, seed: int) -> None:
    """Against scipy's Welch test on the trainings' means, but for the correction of a standard deviation of few values."""
    rng = np.random.default_rng(seed)
    arms = rng.normal(0.5, 0.01, first), rng.normal(0.5, 0.03, second)
    found = estimate(Parts(arms, 0.0, 1e6, (0.0, 0.0)))
    expected = stats.ttest_ind(*arms, equal_var=False)
    assert found.df == pytest.approx(expected.df)
    assert found.value / (np.sqrt(found.variance) * c4(expected.df)) == pytest.approx(expected.statistic)
    wide = expected.confidence_interval(0.95)
    assert 2 * found.reach(0.95) * c4(expected.df) == pytest.approx(wide.high - wide.low)


def test_the_tail_is_students_where_only_training_matters() -> None:
    for df, t in ((2, 3.0), (4, 5.0), (8, -6.0)):
        found = Estimate(value=t, items=1e-12, items_df=1e9, seen=1.0, seen_df=df, luck=0.0)
        assert found.tail_p == pytest.approx(2 * stats.t.sf(abs(t), df), rel=0.01)
    quiet = Estimate(value=3.0, items=1.0, items_df=1e9, seen=1e-9, seen_df=4, luck=0.0)
    assert quiet.tail_p == pytest.approx(2 * stats.norm.sf(3), rel=0.01)
    # no noise seen, on little evidence
    hidden = Estimate(value=3.0, items=1.0, items_df=1e9, seen=0.5, seen_df=2, luck=0.5)
    assert hidden.tail_p > 2 * hidden.p


def test_the_mean_over_benchmarks_adds_variances() -> None:
    parts = [
        Parts((np.array([value, value + 0.02]), np.array([0.5])), items, 20, (items / 2, None))
        for value, items in ((0.4, 1e-4), (0.6, 3e-4))
    ]
    found = mean_of(parts)
    assert found.value == pytest.approx(0.01)
    assert found.items == pytest.approx(1e-4)
    assert found.luck == (pytest.approx(0.5e-4), None)
    assert found.items_df == pytest.approx(20 * 16 / 10)


def arms(first: int, second: int, n: int = 400) -> tuple[dict[str, Outcomes], dict[str, Outcomes]]:
    rng = np.random.default_rng([first, second])
    ease = rng.random(n)
    one, other = (
        {"quiz": outcomes(rng.random((count, n)) < ease + gain)} for count, gain in ((first, 0.3), (second, 0.0))
    )
    return one, other


@pytest.mark.parametrize(
    ("first", "second", "over_trainings", "claims"),
    [
        (1, 1, False, False),
        (2, 1, False, False),
        (3, 1, True, False),
        (1, 3, True, False),
        (2, 2, True, True),
        (3, 5, True, True),
    ],
)
def test_no_star_without_two_trainings_of_both_arms(
    first: int, second: int, over_trainings: bool, claims: bool
) -> None:
    one, other = arms(first, second)
    found = paired_bootstrap(one, other, resamples=400)
    assert (found.over_trainings, found.claims, found.replicates) == (over_trainings, claims, (first, second))
    assert found.resamples == (0 if over_trainings else 400)
    asked = paired_bootstrap(one, other, resamples=400, items_only=True)
    assert (asked.over_trainings, asked.claims) == (False, True)
    assert asked.mean.value == pytest.approx(found.mean.value)


def test_trainings_are_not_paired_by_number() -> None:
    one, other = arms(3, 3)
    renumbered = {"quiz": outcomes(other["quiz"].correct[[2, 0, 1]], replicates=(7, 8, 9))}
    assert paired_bootstrap(one, renumbered).mean == pytest.approx(paired_bootstrap(one, other).mean)


def test_one_arms_own_interval_needs_three_trainings() -> None:
    assert [level_of(arms(count, 1)[0], resamples=100).trainings for count in (1, 2, 3)] == [0, 0, 3]
    three = arms(3, 1)[0]
    assert level_of(three, items_only=True, resamples=100).trainings == 0


@pytest.fixture(scope="module")
def simulation() -> Any:
    spec = importlib.util.spec_from_file_location("intervals", SIMULATION)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(SIMULATION.parent))
    sys.modules["intervals"] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(SIMULATION.parent))
        del sys.modules["intervals"]
    return module


def test_the_simulation_speaks_of_what_the_command_does(simulation: Any) -> None:
    tables = simulation.arms(np.random.default_rng(0), (3, 2), 0.01, 27)
    here, there = (
        {
            task: outcomes(table.outcomes.T[columns], tuple(f"c{k:02d}" for k in table.member))
            for task, table in tables.items()
        }
        for columns in (slice(0, 3), slice(3, 5))
    )
    found = paired_bootstrap(here, there)
    simulated = simulation.compared(tables, (3, 2), False, 0)
    assert (simulated.mean.low, simulated.mean.high) == pytest.approx((found.mean.low, found.mean.high))
    assert simulated.family == pytest.approx(found.family)


@pytest.mark.parametrize(
    ("trainings", "noise", "clusters"), [((3, 3), 0.01, 0), ((3, 3), 0.0, 0), ((2, 2), 0.02, 0), ((3, 1), 0.01, 27)]
)
def test_intervals_hold_the_noise_of_training(
    simulation: Any, monkeypatch: pytest.MonkeyPatch, trainings: tuple[int, int], noise: float, clusters: int
) -> None:
    """A small piece of benchmarks/intervals.py: 60 trials. At 95 %, fewer than 52 hold the truth once in 250 times; intervals over
    items alone hold it in half of them with noise."""
    small = {task: max(100, n // 4) for task, n in simulation.SIZES.items()}
    monkeypatch.setattr(simulation, "SIZES", small)
    monkeypatch.setattr(simulation, "RESAMPLES", 200)
    found = simulation.cell(trainings, noise, clusters, 60)
    assert found.covers >= 52 / 60
    assert found.any_star <= 7 / 60
    if noise:
        assert simulation.cell(trainings, noise, clusters, 60, items_only=True).covers < 52 / 60


def test_unequal_noise_is_not_averaged_away() -> None:
    """An arm that varies beside one that does not: no more degrees of freedom than the varying arm's."""
    rng = np.random.default_rng(5)
    steady = np.tile(rng.random(200) < 0.5, (3, 1))
    varying = np.array([rng.random(200) < level for level in (0.3, 0.5, 0.7)])
    found = paired_bootstrap({"q": outcomes(varying)}, {"q": outcomes(steady)})
    t = estimate(measure(Table([], np.concatenate([varying, steady]).T.astype(float), None), 3))
    assert t.df < 3
    assert (
        found.mean.high - found.mean.low
        > 2 * stats.t.ppf(0.975, 3) * np.std([0.3, 0.5, 0.7], ddof=1) / np.sqrt(3) * 0.9
    )


def test_tables_are_compared_as_arms_are() -> None:
    one, other = arms(3, 3)
    table = Table([], np.concatenate([one["quiz"].correct, other["quiz"].correct]).T, None)
    made = between({"quiz": table}, (3, 3), resamples=1, seed=0, level=0.95, groups={}, items_only=False)
    assert made == paired_bootstrap(one, other, resamples=1)


def test_stars_over_clusters_need_students_tail() -> None:
    """27 clusters, of which all move together: the interval behind a star is at least Student's p with 26 degrees of freedom."""
    rng = np.random.default_rng(3)
    first, second = np.repeat(rng.random((2, 27)), 10, axis=1) < [[0.62], [0.4]]
    names = tuple(f"c{k // 10:02d}" for k in range(270))
    found = paired_bootstrap(*({"quiz": outcomes(arm[None], names)} for arm in (first, second)), items_only=True)
    gaps = (first.astype(float) - second).reshape(27, 10).mean(axis=1)
    assert found.family["quiz"] >= stats.ttest_1samp(gaps, 0).pvalue * (1 - 1e-9)
    assert found.tasks["quiz"].p < found.family["quiz"]
