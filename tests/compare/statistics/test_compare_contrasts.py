"""Contrasts: two arms as before, means of several arms with items drawn jointly, and how their names are read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gra.compare.statistics import weighted
from gra.compare.statistics.bootstrap import paired_bootstrap
from gra.compare.statistics.contrasts import contrast, parse
from gra.compare.statistics.item_scores import Outcomes, joined, matched
from gra.compare.statistics.trainings import estimate, measure
from gra.errors import ConfigError, EvalError


def arm(
    seed: int, trainings: int = 1, n: int = 80, skill: float = 0.0, clusters: int = 0, noise: float = 0.0
) -> dict[str, Outcomes]:
    """Two benchmarks; items share their difficulty with every other arm's."""
    rng = np.random.default_rng(seed)
    found = {}
    for place, task in enumerate(("a", "b")):
        ease = np.random.default_rng(place).beta(1.2, 1.2, n)
        shift = rng.normal(skill, noise, trainings)[:, None] if noise else skill
        correct = (rng.random((trainings, n)) < np.clip(ease + shift, 0, 1)).astype(float)
        groups = tuple(f"c{i % clusters}" for i in range(n)) if clusters else None
        found[task] = Outcomes(tuple(f"{i:03d}" for i in range(n)), correct, tuple(range(trainings)), groups)
    return found


@given(st.integers(1, 4), st.integers(1, 4), st.sampled_from([0, 25]), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_two_arms_are_analysed_as_by_trainings(first: int, second: int, clusters: int, seed: int) -> None:
    """The general analysis of variance with weights 1 and -1 is that of two arms, to the last digits."""
    one, other = arm(seed, first, clusters=clusters), arm(seed + 1, second, clusters=clusters)
    for table in matched(one, other).values():
        if not weighted.known([first, second]):
            continue
        expected = estimate(measure(table, first))
        found = weighted.estimate(weighted.measure(table, [first, second], [1, -1]), [1, -1])
        for name in ("value", "items", "seen", "seen_df", "luck", "variance", "df"):
            assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-12), name
    arms = {"one": one, "other": other}
    assert contrast(arms, {"one": 1, "other": -1}, resamples=200) == paired_bootstrap(one, other, resamples=200)
    assert contrast(arms, {"one": -1, "other": 1}, resamples=200) == paired_bootstrap(other, one, resamples=200)


def test_a_mean_over_seed_sets_draws_the_items_jointly() -> None:
    """The interval of a mean over three arms is that of the item-wise means: where the three answer alike, three are worth one."""
    base, better = arm(1, n=300), arm(2, n=300, skill=0.15)
    arms = {"a1": better, "a2": better, "a3": better, "b1": base, "b2": base, "b3": base}
    weights = parse("a1+a2+a3-b1+b2+b3", list(arms))
    found = contrast(arms, weights, resamples=4000)
    single = paired_bootstrap(better, base, resamples=4000)
    assert found.mean.value == pytest.approx(single.mean.value)
    assert found.mean.high - found.mean.low == pytest.approx(single.mean.high - single.mean.low, rel=0.05)
    three = {
        **arms,
        "a2": arm(3, n=300, skill=0.15),
        "a3": arm(4, n=300, skill=0.15),
        "b2": arm(5, n=300),
        "b3": arm(6, n=300),
    }
    apart = contrast(three, weights, resamples=4000)
    assert apart.mean.high - apart.mean.low < 0.75 * (single.mean.high - single.mean.low)
    items = {task: table.outcomes for task, table in joined(list(three.values())).items()}
    gaps = [one[:, :3].mean(axis=1) - one[:, 3:].mean(axis=1) for one in items.values()]
    se = sum(gap.var(ddof=1) / len(gap) for gap in gaps) ** 0.5 / 2
    assert (apart.mean.high - apart.mean.low) / 2 == pytest.approx(1.96 * se, rel=0.06)
    assert not apart.over_trainings


def test_with_several_trainings_noise_of_every_arm_counts() -> None:
    """In simulation, intervals of a mean over two arms minus another two hold the truth about as often as they say."""
    inside = 0
    for trial in range(150):
        arms = {name: arm(1000 * trial + place, 3, noise=0.05) for place, name in enumerate(("a", "b", "c", "d"))}
        found = contrast(arms, {"a": 0.5, "b": 0.5, "c": -0.5, "d": -0.5})
        assert found.over_trainings
        assert found.replicates == (3, 3)
        inside += found.mean.low <= 0 <= found.mean.high
    assert 0.90 <= inside / 150 <= 1.0


def test_weights_that_are_no_difference_of_two() -> None:
    arms = {name: arm(place, 2) for place, name in enumerate(("ten", "thirty", "fifty"))}
    found = contrast(arms, {"thirty": 2, "ten": -1, "fifty": -1})
    means = {name: np.mean([one.correct.mean() for one in scored.values()]) for name, scored in arms.items()}
    assert found.mean.value == pytest.approx(2 * means["thirty"] - means["ten"] - means["fifty"])
    swapped = contrast(arms, {"thirty": -2, "ten": 1, "fifty": 1})
    assert (swapped.mean.low, swapped.mean.high) == pytest.approx((-found.mean.high, -found.mean.low))


def test_names_are_read_with_their_signs() -> None:
    names = ["gra", "large-own", "a+b", "c"]
    assert parse("gra-c", names) == {"gra": 1, "c": -1}
    assert parse(" gra - large-own ", names) == {"gra": 1, "large-own": -1}
    assert parse("a+b-c", names) == {"a+b": 1, "c": -1}
    assert parse("gra+large-own-a+b+c", names) == {"gra": 0.5, "large-own": 0.5, "a+b": -0.5, "c": -0.5}
    with pytest.raises(ConfigError, match="can be read in 2 ways"):
        parse("a+b-c", ["a", "b", "a+b", "c"])
    for text in ("gra-none", "gra", "gra-gra", "", "gra+gra-c"):
        with pytest.raises(ConfigError, match="is not a difference of arms"):
            parse(text, names)


def test_arms_without_a_common_benchmark() -> None:
    with pytest.raises(EvalError, match="share no benchmark"):
        contrast({"a": {"x": arm(1)["a"]}, "b": {"y": arm(1)["a"]}}, {"a": 1, "b": -1})
