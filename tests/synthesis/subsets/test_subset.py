"""A part of existing data sets: at random, by length, or as much as another set's tokens buy."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.compare.arms import Arm
from gra.compare.tables.data_columns import facts
from gra.errors import ConfigError, StoreError
from gra.fileio import read_json
from gra.synthesis import subset
from gra.synthesis.committee.records import CallRecord, Outcome, Roles
from gra.synthesis.output.before import all_tokens, before
from gra.synthesis.output.card import CardInfo
from gra.synthesis.output.dataset import write_dataset
from gra.synthesis.output.stats import statistics
from gra.synthesis.subsets.choice import affordable, at_random, length_matched

LENGTHS = st.lists(st.integers(0, 60), max_size=40)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 5))
def test_a_smaller_random_choice_is_part_of_a_larger_one(count: int, wanted: int, seed: int) -> None:
    chosen = at_random(count, wanted, seed)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(count, wanted)
    assert set(at_random(count, wanted // 2, seed)) <= set(chosen)


@given(LENGTHS, st.lists(st.integers(0, 60), min_size=1, max_size=30), st.integers(0, 60), st.integers(0, 5))
def test_matched_samples_are_distinct_and_as_many_as_there_can_be(
    lengths: list[int], targets: list[int], wanted: int, seed: int
) -> None:
    chosen = length_matched(lengths, targets, wanted, seed)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(len(lengths), wanted)
    assert chosen == length_matched(lengths, targets, wanted, seed)


@given(LENGTHS.filter(bool), st.data(), st.integers(0, 5))
def test_lengths_that_are_there_are_matched_exactly(lengths: list[int], data: st.DataObject, seed: int) -> None:
    targets = data.draw(st.permutations(lengths))[: data.draw(st.integers(1, len(lengths)))]
    chosen = length_matched(lengths, targets, len(targets), seed)
    assert Counter(lengths[i] for i in chosen) == Counter(targets)


def test_the_nearest_length_that_is_left_is_taken() -> None:
    assert length_matched([10, 20, 30], [21], 1, 0) == [1]
    assert length_matched([10, 20, 30], [25], 1, 0) == [1]  # equally near: the smaller
    assert length_matched([10, 20, 30], [0, 0], 2, 0) == [0, 1]
    assert length_matched([10, 20], [11], 2, 0) == [0, 1]  # a target is used again
    assert affordable(1000, 50, 10) == 200


def folder(place: Path, lengths: list[int], tokens: int, *, prefix: str = "r1-", score: Any = None) -> Path:
    """A data folder whose responses have these lengths, and on which so many tokens were spent."""
    roles = Roles("m1", (), None, "m1")
    call = CallRecord("k", "respond", "generator", "m1", 0, tokens - 1, 1)
    kept = [
        Outcome(
            f"{prefix}{i:06d}", 1, i, "coding", roles, (), "accepted", instruction=f"Do {i}.", response="x" * length,
            calls=(call,) if i == 0 else (),
        )
        for i, length in enumerate(lengths)
    ]  # fmt: skip
    stats = statistics(kept, []) | {"cost": {"flops": float(tokens)}}
    settings = {} if score is None else {"scoring": score}
    write_dataset(place, kept, [], stats, CardInfo("seeds", None, settings=settings))
    return place


@pytest.fixture
def two(tmp_path: Path) -> dict[str, Path]:
    """Many samples for few tokens, and few for many."""
    return {
        "data": folder(tmp_path / "many", [3 * n for n in range(20)], 200),
        "like": folder(tmp_path / "few", [9, 33, 40], 60),
    }


def config(**keys: Any) -> dict[str, Any]:
    return {"seed": 0, "subset": keys, "license": "mit"}


def test_each_choice_makes_a_data_folder_that_accounts_for_what_it_left(two: dict[str, Path], tmp_path: Path) -> None:
    sizes = {}
    for name, keys in {
        "random": {"choose": "random"},
        "length": {"choose": "length_matched"},
        "tokens": {"choose": "first", "budget": "tokens"},
    }.items():
        metrics = subset.run(config(**keys), two, tmp_path / name)
        train, rest = (pq.read_table(tmp_path / name / file) for file in ("data/train.parquet", "rejected.parquet"))
        stats, sizes[name] = read_json(tmp_path / name / "stats.json"), train.num_rows
        assert metrics["kept"] == stats["kept"] == train.num_rows
        assert rest.num_rows == stats["reasons"]["not_chosen"] == 20 - train.num_rows
        ids = train["id"].to_pylist() + rest["id"].to_pylist()
        assert sorted(ids) == pq.read_table(two["data"] / "data" / "train.parquet")["id"].to_pylist()
        assert "license: mit" in (tmp_path / name / "README.md").read_text()
    assert sizes == {"random": 3, "length": 3, "tokens": 6}  # ten tokens a sample
    matched = pq.read_table(tmp_path / "length" / "data" / "train.parquet")["response"].to_pylist()
    assert [len(text) for text in matched] == [9, 33, 39]
    first = pq.read_table(tmp_path / "tokens" / "data" / "train.parquet")["id"].to_pylist()
    assert first == [f"r1-{i:06d}" for i in range(6)]


def test_all_of_several_folders_keeps_ids_apart_and_counts_what_each_cost(two: dict[str, Path], tmp_path: Path) -> None:
    both = {"data": two["data"], "data_more": folder(tmp_path / "more", [5, 6], 40, score="probability")}
    subset.run(config(choose="all"), both, tmp_path / "all")
    ids = pq.read_table(tmp_path / "all" / "data" / "train.parquet")["id"].to_pylist()
    assert len(set(ids)) == 22
    assert ids[-1] == "r1-000001@data_more"
    assert all_tokens(before([tmp_path / "all"])) == 240
    found = facts([Arm("a", "A", folders={"data": tmp_path / "all"})])
    assert (found.samples, found.tokens, found.flops) == (22, 240, 240)
    for choice, tokens in (("random", 240), ("first", 240 * 4 // 22)):  # to draw from all, all had to be made
        subset.run(config(choose=choice, samples=4), {"data": tmp_path / "all"}, tmp_path / choice)
        again = facts([Arm("a", "A", folders={"data": tmp_path / choice})])
        assert again.samples == 4
        assert again.tokens == pytest.approx(tokens, abs=2)  # whole tokens of each side


def test_too_little_data_is_said_and_unknown_tokens_decide_nothing(
    two: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert subset.run(config(samples=30), {"data": two["data"]}, tmp_path / "short")["kept"] == 20
    assert "30 samples were wanted, and the data has only 20" in caplog.text
    (two["like"] / "stats.json").unlink()
    with pytest.raises(StoreError, match="the tokens spent on it are not known"):
        subset.run(config(choose="first", budget="tokens"), two, tmp_path / "tokens")


def test_wrong_choices_are_found_before_the_data_is_there() -> None:
    later: dict[str, Any] = {"data": None}
    assert subset.check(config(choose="all"), later) == []
    assert [p.key for p in subset.check(config(choose="all", samples=3), later)] == ["subset.choose"]
    assert [p.key for p in subset.check(config(choose="length_matched"), later)] == ["inputs.like"]
    assert [p.key for p in subset.check(config(), later)] == ["subset.samples"]
    assert [p.key for p in subset.check(config(samples=1), {"dat": None})] == ["inputs.dat", "inputs.data"]
    with pytest.raises(ConfigError, match=r"train\.parquet"):
        subset.run(config(samples=1), {"data": Path("no/such/folder")}, Path("out"))
