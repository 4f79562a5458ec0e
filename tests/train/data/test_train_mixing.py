"""Counts by largest remainder, orders by the seed, and stated sizes that cannot be had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gra.train import stage
from gra.train.data import mixture
from gra.train.settings import SftSettings

WEIGHTS = st.dictionaries(st.sampled_from(["data", "data_a", "data_b", "data_c"]), st.floats(1e-3, 1e3), min_size=1)


def recipe(**options: Any) -> SftSettings:
    return SftSettings(learning_rate=1e-3, global_batch=8, cutoff_length=96, **options)


def test_largest_remainder() -> None:
    thirds = {"data_b": 1, "data": 1, "data_a": 1}
    assert mixture.shares(10, thirds) == {"data": 4, "data_a": 3, "data_b": 3}  # equal remainders: by name
    assert mixture.shares(10, {"data": 0.1, "data_a": 0.2, "data_b": 0.7}) == {"data": 1, "data_a": 2, "data_b": 7}
    assert mixture.shares(7, {"data": 0.5, "data_a": 0.5}) == {"data": 4, "data_a": 3}
    assert mixture.shares(0, thirds) == dict.fromkeys(["data", "data_a", "data_b"], 0)


@settings(deadline=None)
@given(total=st.integers(0, 10_000), weights=WEIGHTS)
def test_shares_add_up_and_follow_the_weights(total: int, weights: dict[str, float]) -> None:
    counts = mixture.shares(total, weights)
    assert sum(counts.values()) == total
    for name, count in counts.items():
        assert abs(count - total * weights[name] / sum(weights.values())) < 1 + 1e-6


@settings(max_examples=60, deadline=None)
@given(weights=WEIGHTS, sizes=st.lists(st.integers(0, 50), min_size=4, max_size=4))
def test_largest_is_the_largest(weights: dict[str, float], sizes: list[int]) -> None:
    available = dict(zip(sorted(weights), sizes, strict=False))

    def fits(total: int) -> bool:
        return all(count <= available[name] for name, count in mixture.shares(total, weights).items())

    most = mixture.largest(weights, available)
    assert fits(most)
    fitting = [total for total in range(sum(available.values()) + 1) if fits(total)]
    assert most == fitting[-1]
    assert mixture.largest(weights, available, most // 2) == max(total for total in fitting if total <= most // 2)


def test_orders_are_the_seeds_and_differ_between_folders() -> None:
    order = mixture.order("data", 100, 3, mixed=False)
    assert sorted(order) == list(range(100))
    assert order == mixture.order("data", 100, 3, mixed=False) != mixture.order("data", 100, 4, mixed=False)
    assert mixture.order("data", 100, 3, mixed=True) != mixture.order("data_a", 100, 3, mixed=True)
    assert mixture.held_out_order("data", 100, 3) != order


def test_held_out_does_not_depend_on_the_limit() -> None:
    rows = {"data": 100, "data_a": 300}
    mix = {"data": 0.5, "data_a": 0.5}
    assert {mixture.held_out_count(recipe(mix=mix, held_out=0.1, limit=limit), rows) for limit in (10, 100, None)} == {
        20
    }
    assert mixture.held_out_count(recipe(held_out=0.25), {"data": 100}) == 25
    assert mixture.held_out_count(recipe(held_out=7), {"data": 100}) == 7


def test_faults_of_a_mixture_are_all_told(config: Any, write_data: Callable[..., Path], tmp_path: Path) -> None:
    def told(inputs: dict[str, Path | None], **sft: Any) -> dict[str, str]:
        problems = stage.check(config(**sft), {"student": None, **inputs})
        return {problem.key: f"{problem.message} -> {problem.remedy}" for problem in problems}

    assert "sft.mix={data: 0.5, data_a: 0.5}" in told({"data": None, "data_a": None})["sft.mix"]
    found = told({"data": None, "data_a": None, "date_b": None}, mix={"data": 1.0, "data_b": 0.5})
    assert set(found) == {"sft.mix.data_b", "inputs.data_a", "inputs.date_b"}
    assert set(told({"data": None}, mix={"data": 0.0}, held_out=1.0)) == {"sft.mix.data", "sft.held_out"}
    talks = [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]]
    small = write_data(talks * 10).rename(tmp_path / "small")
    large = write_data(talks * 100)
    both: dict[str, Path | None] = {"data": large, "data_a": small}
    even = {"data": 0.5, "data_a": 0.5}
    assert "set sft.limit=21 or less" in told(both, mix=even, limit=50)["sft.limit"]
    assert "set sft.limit=17 or less" in told(both, mix=even, limit=50, held_out=4)["sft.limit"]
    assert "nothing to train on" in told({"data": small}, held_out=10)["sft.held_out"]
    assert told(both, mix=even, limit=20) == told(both, mix=even) == told({"data": small}, limit=50) == {}
