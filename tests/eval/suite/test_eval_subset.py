"""`suite.limit`: a drawn part of a benchmark, in proportion from its subjects, the same items for every model and larger subset."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.eval import stage
from gra.eval.settings import Suite
from gra.eval.suite import loading, plan, subset
from gra.fileio import read_json

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=12)


def items_of(sizes: list[int]) -> list[tuple[str, str]]:
    return [(f"stratum {s}", f"item {n}") for s, size in enumerate(sizes) for n in range(size)]


@given(SIZES, st.integers(0, 5), st.randoms())
def test_the_order_is_of_all_items_and_does_not_depend_on_where_they_stand(
    sizes: list[int], seed: int, random: Any
) -> None:
    items = items_of(sizes)
    drawn = [items[place] for place in subset.order(items, seed)]
    assert sorted(drawn) == sorted(items)
    shuffled = list(items)
    random.shuffle(shuffled)
    assert [shuffled[place] for place in subset.order(shuffled, seed)] == drawn


@given(SIZES, st.integers(0, 5), st.integers(1, 200))
def test_every_beginning_of_the_order_has_each_stratum_in_its_share(sizes: list[int], seed: int, limit: int) -> None:
    items = items_of(sizes)
    first = subset.order(items, seed)[:limit]
    counts = Counter(items[place][0] for place in first)
    whole = Counter(stratum for stratum, _ in items)
    # one share is within an item of what every stratum has
    assert (
        max((counts[s] - 1) / n for s, n in whole.items()) <= min((counts[s] + 1) / n for s, n in whole.items()) + 1e-9
    )


@given(st.integers(2, 12), st.integers(2, 30), st.integers(0, 9), st.integers(1, 300))
def test_of_equal_strata_none_is_ahead_by_more_than_one(strata: int, size: int, seed: int, limit: int) -> None:
    items = items_of([size] * strata)
    counts = Counter(items[place][0] for place in subset.order(items, seed)[:limit])
    taken = [counts[f"stratum {s}"] for s in range(strata)]
    assert max(taken) - min(taken) <= 1


def test_another_seed_draws_others_and_the_first_items_are_not_favoured() -> None:
    items = items_of([1000])
    drawn = {seed: set(subset.order(items, seed)[:100]) for seed in range(20)}
    assert len({frozenset(places) for places in drawn.values()}) == 20
    assert 380 < sum(sum(places) / 100 for places in drawn.values()) / 20 < 620  # the mean place: 499.5


def doc(n: int, **more: Any) -> dict[str, Any]:
    return {"question": f"q{n}", **more}


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 99), st.integers(0, 3))
def test_of_a_group_every_task_has_an_item_and_a_larger_limit_holds_a_smaller_one(
    sizes: list[int], limit: int, seed: int
) -> None:
    leaves = {f"leaf_{place}": [doc(n) for n in range(size)] for place, size in enumerate(sizes)}
    small, large = subset.taken(leaves, limit, seed), subset.taken(leaves, limit + 7, seed)
    assert all(places and places == sorted(places) for places in small.values())
    assert all(set(small[leaf]) <= set(large[leaf]) for leaf in leaves)
    count = sum(map(len, small.values()))
    assert min(limit, sum(sizes)) <= count <= max(limit, 0) + len(sizes)
    if limit >= sum(sizes):
        assert small == {leaf: list(range(size)) for leaf, size in zip(leaves, sizes, strict=True)}


def test_kinds_are_told_by_columns_that_sort_the_items() -> None:
    subjects = [doc(n, subject="law" if n % 3 else "art", id=n) for n in range(9)]
    assert set(subset.kinds(subjects)) == {"law", "art"}
    assert set(subset.kinds([doc(n, type="Algebra" if n < 5 else "Geometry") for n in range(9)])) == {
        "Algebra",
        "Geometry",
    }
    assert set(subset.kinds([doc(n, category=f"c{n}") for n in range(9)])) == {""}  # one item each: these are names
    assert set(subset.kinds([doc(n, subject="law") for n in range(9)])) == {""}
    assert set(subset.kinds([doc(n, subject=n % 2) for n in range(9)])) == {""}
    assert subset.names(subjects) == [str(n) for n in range(9)]
    assert subset.names([doc(n, id=n // 2) for n in range(4)]) == ["0", "1", "2", "3"]


def mmlu(folder: Path) -> list[dict[str, Any]]:
    """Records in MMLU's order, subject after subject, in the file of all subjects."""
    subjects = ["abstract_algebra"] * 40 + ["anatomy"] * 20 + ["astronomy"] * 60
    records = [
        {"question": f"What is {n}?", "subject": subject, "choices": ["a", "b", "c", "d"], "answer": n % 4}
        for n, subject in enumerate(subjects)
    ]
    (folder / "mmlu").mkdir(parents=True)
    (folder / "mmlu" / "test.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return records


@pytest.mark.slow
def test_the_stage_asks_the_same_items_of_every_subject_whatever_the_model(
    tiny_chat_model: Path, tmp_path: Path
) -> None:
    """lm-eval's limit=12 would take twelve of abstract algebra. Twelve more hold these twelve, and a seed of the run's own,
    another model and other files' order of the suite's tasks change nothing."""
    from completions_site import serving

    records = mmlu(tmp_path / "data")
    asked: dict[str, set[str]] = {}
    with serving() as site:
        server = {"path": str(tiny_chat_model), "backend": "server", "base_url": site.url, "name": "other"}
        for name, limit, seed, model in (
            ("twelve", 12, 0, {"path": str(tiny_chat_model)}),
            ("more", 24, 7, server),
            ("again", 12, 7, server),
        ):
            suite = {
                "name": "t",
                "tasks": ["mmlu_chat"],
                "data_dir": str(tmp_path / "data"),
                "limit": limit,
                "max_new_tokens": 4,
            }
            config = {"seed": seed, "suite": suite, "model": model | {"max_length": 1024}}
            (tmp_path / name).mkdir()
            stage.run(config | {"runtime": {"device": "cpu", "threads": 1}}, {}, tmp_path / name)
            rows = pq.read_table(tmp_path / name / "samples.parquet").to_pylist()
            asked[name] = {row["doc_id"] for row in rows}
            assert all(row["cluster"] == records[int(row["doc_id"])]["subject"] for row in rows)
            assert all("ABCD"[records[int(row["doc_id"])]["answer"]] == row["answer"] for row in rows)
            assert all(f"What is {row['doc_id']}?" in _prompt(tmp_path / name, row["doc_id"]) for row in rows)
            score = read_json(tmp_path / name / "scores.json")["tasks"]["mmlu_chat"]
            assert (score["n"], score["macro"]["over"]) == (limit, 3)
    assert asked["twelve"] == asked["again"]
    assert asked["twelve"] < asked["more"]
    counts = Counter(records[int(n)]["subject"] for n in asked["more"])
    sizes = Counter(record["subject"] for record in records)
    assert all(abs(counts[subject] - 24 * size / len(records)) <= 1 for subject, size in sizes.items())


def _prompt(folder: Path, doc_id: str) -> str:
    lines = map(json.loads, (folder / "samples" / "mmlu_chat.jsonl").read_text(encoding="utf-8").splitlines())
    return next(str(sample["arguments"][0][0]) for sample in lines if str(sample["doc_id"]) == doc_id)


def test_a_groups_limit_is_shared_by_its_tasks(tmp_path: Path) -> None:
    mmlu(tmp_path)
    wanted = Suite(
        name="s", tasks=("mmlu_abstract_algebra", "mmlu_astronomy"), data_dir=str(tmp_path), limit=10, num_fewshot=0
    )
    (tmp_path / "scratch").mkdir()
    manager = loading.manager(wanted, plan.local(wanted, {}), tmp_path / "scratch")
    objects, _ = loading.tried(manager, wanted, 0)
    from lm_eval.api.group import Group

    together = Group("both")
    for one in objects:
        together.add(one)
    shared = loading.taken([together], wanted)
    assert shared is not None
    assert {leaf: len(places) for leaf, places in shared.items()} == {"mmlu_abstract_algebra": 4, "mmlu_astronomy": 6}
    alone = loading.taken(objects, wanted)
    assert alone is not None
    assert {leaf: len(places) for leaf, places in alone.items()} == {"mmlu_abstract_algebra": 10, "mmlu_astronomy": 10}
    assert loading.taken(objects, wanted.model_copy(update={"limit": None})) is None
