from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from gra.errors import EvalError
from gra.eval.report.samples import leaves, rows, write

COLUMNS = (
    "task",
    "subtask",
    "cluster",
    "doc_id",
    "prompt_hash",
    "reply",
    "answer",
    "extracted",
    "correct",
    "extracted_tolerant",
    "correct_tolerant",
    "at_limit",
)


def sample(place: int, doc: dict[str, Any], filtered: Any = "7", **changes: Any) -> dict[str, Any]:
    return {
        "doc_id": place,
        "doc": doc,
        "target": "7",
        "arguments": [["prompt", {}]],
        "resps": [["It is 7"]],
        "filtered_resps": [filtered],
        "filter": "strict",
        "metrics": ["exact_match"],
        "prompt_hash": "h",
        "exact_match": 1.0,
    } | changes


def test_an_item_keeps_its_own_id_where_ids_are_whole_and_different() -> None:
    named = rows("t", "t", [sample(0, {"id": "x"}), sample(1, {"id": "y"})])
    assert [r["doc_id"] for r in named] == ["x", "y"]
    twice = rows("t", "t", [sample(0, {"id": "x"}), sample(1, {"id": "x"})])
    assert [r["doc_id"] for r in twice] == ["0", "1"]
    lacking = rows("t", "t", [sample(0, {"id": "x"}), sample(1, {})])
    assert [r["doc_id"] for r in lacking] == ["0", "1"]
    in_group = rows("group", "leaf", [sample(0, {"task_id": 11})])
    assert [(r["task"], r["subtask"], r["doc_id"]) for r in in_group] == [("group", "leaf", "leaf/11")]


@pytest.mark.parametrize(
    ("filtered", "extracted"), [("7", "7"), (["7", "8"], "7"), (None, None), ("[invalid]", None), (" ", None)]
)
def test_a_reply_without_an_answer_is_told_from_one_with(filtered: Any, extracted: str | None) -> None:
    [only] = rows("t", "t", [sample(0, {}, filtered)])
    assert only["extracted"] == extracted
    assert (only["extracted_tolerant"], only["correct_tolerant"]) == (None, None)  # of no known kind


@pytest.mark.parametrize(
    ("filtered", "extracted"), [("B.", "B."), ("(b)", "(b)"), ("B because", None), ("the sun", None)]
)
def test_of_multiple_choice_only_a_letter_is_an_answer(filtered: str, extracted: str | None) -> None:
    [only] = rows("t", "t", [sample(0, {"answer": "B"}, filtered, target="B")], "letter")
    assert only["extracted"] == extracted


def test_replies_are_read_tolerantly_where_they_were_not_right_strictly() -> None:
    samples = [
        sample(0, {"id": 0}, "7"),
        sample(1, {"id": 1}, "[invalid]", exact_match=0.0),
        sample(2, {"id": 2}, "8", exact_match=0.0, resps=[["8 #### 8"]]),
        sample(3, {"id": 3}, "[invalid]", exact_match=0.0, resps=[["No idea."]]),
    ]
    found = rows("t", "t", samples, "number")
    assert [r["correct"] for r in found] == [1.0, 0.0, 0.0, 0.0]
    assert [(r["extracted_tolerant"], r["correct_tolerant"]) for r in found] == [
        ("7", 1.0),
        ("7", 1.0),
        ("8", 0.0),
        (None, 0.0),
    ]


def test_ifeval_is_read_tolerantly_by_its_own_loose_verdict() -> None:
    verdicts = {
        "metrics": ["prompt_level_strict_acc"],
        "prompt_level_strict_acc": False,
        "prompt_level_loose_acc": True,
    }
    found = rows("t", "t", [sample(0, {"key": 1}, "Yes.", **verdicts), sample(1, {"key": 2}, "", **verdicts)], "ifeval")
    assert [(r["extracted"], r["correct"], r["correct_tolerant"]) for r in found] == [
        ("Yes.", 0.0, 1.0),
        (None, 0.0, 1.0),
    ]


def test_items_that_stand_or_fall_together_are_named() -> None:
    subjects = [sample(0, {"subject": "law"}), sample(1, {"subject": "art"}), sample(2, {"subject": "law"})]
    assert [r["cluster"] for r in rows("t", "t", subjects)] == ["law", "art", "law"]
    types = [sample(0, {"type": "Algebra", "solution": ""}), sample(1, {"type": "Geometry", "solution": ""})]
    assert [r["cluster"] for r in rows("t", "t", types)] == ["Algebra", "Geometry"]
    assert [r["cluster"] for r in rows("bbh", "bbh_snarks", [sample(0, {}), sample(1, {})])] == ["bbh_snarks"] * 2
    assert [r["cluster"] for r in rows("t", "t", subjects[:1])] == [None]  # one cluster says nothing
    assert [r["cluster"] for r in rows("t", "t", [sample(0, {"type": "x"}), sample(1, {"type": "y"})])] == [None, None]


def test_the_first_filter_counts_and_later_ones_do_not() -> None:
    both = [sample(0, {}), sample(0, {}, "8", filter="flexible", exact_match=0.0)]
    assert [r["correct"] for r in rows("t", "t", both)] == [1.0]


def test_a_choice_is_shown_as_text() -> None:
    choice = sample(
        0,
        {},
        target=1,
        arguments=[["Q", " red"], ["Q", " blue"]],
        resps=[[[-3.0, False]], [[-1.5, True]]],
        metrics=["acc", "acc_norm"],
        acc=1.0,
        acc_norm=0.0,
    )
    [only] = rows("t", "t", [choice])
    assert (only["reply"], only["extracted"], only["answer"], only["correct"]) == ("blue", "blue", "blue", 1.0)


def test_a_metric_that_is_no_number_is_refused_by_name() -> None:
    with pytest.raises(EvalError, match="t: the first metric, f1"):
        rows("t", "t", [sample(0, {}, metrics=["f1"], f1=[0, 1])])


def test_leaves_follow_groups_of_groups() -> None:
    assert leaves("g", {"g": ["h", "a"], "h": ["b", "c"]}) == ["b", "c", "a"]
    assert leaves("t", {}) == ["t"]


def test_equal_rows_give_equal_bytes_with_the_documented_columns(tmp_path: Path) -> None:
    made = rows("t", "t", [sample(0, {"id": "x"}), sample(1, {"id": "y"}, None)])
    write(tmp_path / "1.parquet", made)
    write(tmp_path / "2.parquet", made)
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()
    table = pq.read_table(tmp_path / "1.parquet")
    assert {field.name: str(field.type) for field in table.schema} == dict.fromkeys(COLUMNS, "string") | {
        "correct": "double",
        "correct_tolerant": "double",
        "at_limit": "bool",
    }
    assert table.column_names == list(COLUMNS)
    assert table.to_pylist() == [dict(r) for r in made]
