from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from eval.samples import leaves, rows, write
from gra.errors import EvalError


def sample(place: int, doc: dict[str, Any], filtered: Any = "7", **changes: Any) -> dict[str, Any]:
    return {
        "doc_id": place, "doc": doc, "target": "7", "arguments": [["prompt", {}]], "resps": [["It is 7"]],
        "filtered_resps": [filtered], "filter": "strict", "metrics": ["exact_match"], "prompt_hash": "h", "exact_match": 1.0,
    } | changes  # fmt: skip


def test_an_item_keeps_its_own_id_where_ids_are_whole_and_different() -> None:
    named = rows("t", "t", [sample(0, {"id": "x"}), sample(1, {"id": "y"})])
    assert [r["doc_id"] for r in named] == ["x", "y"]
    twice = rows("t", "t", [sample(0, {"id": "x"}), sample(1, {"id": "x"})])
    assert [r["doc_id"] for r in twice] == ["0", "1"]
    lacking = rows("t", "t", [sample(0, {"id": "x"}), sample(1, {})])
    assert [r["doc_id"] for r in lacking] == ["0", "1"]
    in_group = rows("group", "leaf", [sample(0, {"task_id": 11})])
    assert [(r["task"], r["subtask"], r["doc_id"]) for r in in_group] == [("group", "leaf", "leaf/11")]


@pytest.mark.parametrize(("filtered", "extracted"), [("7", "7"), (["7", "8"], "7"), (None, None), ("[invalid]", None), (" ", None)])
def test_a_reply_without_an_answer_is_told_from_one_with(filtered: Any, extracted: str | None) -> None:
    [only] = rows("t", "t", [sample(0, {}, filtered)])
    assert (only["extracted"], only["no_answer"]) == (extracted, extracted is None)


def test_the_first_filter_counts_and_later_ones_do_not() -> None:
    both = [sample(0, {}), sample(0, {}, "8", filter="flexible", exact_match=0.0)]
    assert [r["correct"] for r in rows("t", "t", both)] == [1.0]


def test_a_choice_is_shown_as_text() -> None:
    choice = sample(
        0, {}, target=1, arguments=[["Q", " red"], ["Q", " blue"]], resps=[[[-3.0, False]], [[-1.5, True]]],
        metrics=["acc", "acc_norm"], acc=1.0, acc_norm=0.0,
    )  # fmt: skip
    [only] = rows("t", "t", [choice])
    assert (only["reply"], only["extracted"], only["answer"], only["correct"]) == ("blue", "blue", "blue", 1.0)


def test_a_metric_that_is_no_number_is_refused_by_name() -> None:
    with pytest.raises(EvalError, match="t: its first metric, f1"):
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
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds["correct"] == "double"
    assert kinds["no_answer"] == "bool"
    assert set(kinds) - {"correct", "no_answer"} == {"task", "subtask", "doc_id", "prompt_hash", "reply", "extracted", "answer"}
    assert table.to_pylist() == [dict(r) for r in made]
