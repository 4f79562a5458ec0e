from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.samples import Row
from eval.scores import flat, scores, stderr


def row(task: str, correct: float, no_answer: bool = False) -> Row:
    return Row(
        task=task, subtask=task, doc_id="0", prompt_hash="", reply="", extracted=None, answer="", correct=correct,
        no_answer=no_answer,
    )  # fmt: skip


def test_each_task_has_its_value_error_count_and_share_without_an_answer() -> None:
    rows = [row("a", 1), row("a", 0), row("a", 0, True), row("a", 1), row("b", 1)]
    result = scores(["a", "b"], rows, {"a": "exact_match", "b": "acc"}, {"a": "g", "b": "g"}, True)
    assert result["simulated"] is True
    assert result["tasks"]["a"] == {
        "metric": "exact_match", "value": 0.5, "stderr": pytest.approx(math.sqrt(0.25 / 3)), "n": 4, "no_answer": 0.25, "group": "g"
    }  # fmt: skip
    assert result["tasks"]["b"]["stderr"] is None  # one item says nothing about the spread
    assert result["groups"] == {"g": 0.75}
    assert result["mean"] == 0.75
    assert flat(result) == {"mean": 0.75, "a": 0.5, "a.no_answer": 0.25, "b": 1.0, "b.no_answer": 0.0}


def test_a_task_without_items_has_no_score_and_neither_has_the_mean() -> None:
    result = scores(["a", "b"], [row("a", 1)], {"a": "acc"}, {"b": "g"}, False)
    empty = {"metric": None, "value": None, "stderr": None, "n": 0, "no_answer": None, "group": "g"}
    assert result["tasks"]["b"] == empty
    assert result["mean"] is None
    assert result["groups"] == {"a": 1.0, "g": None}
    assert flat(result) == {"a": 1.0, "a.no_answer": 0.0}


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=2, max_size=300))
def test_the_standard_error_is_lm_evals(values: list[float]) -> None:
    from lm_eval.api.metrics import mean_stderr

    ours = stderr(values)
    assert ours == pytest.approx(mean_stderr(values), abs=1e-12)
    share = sum(values) / len(values)
    assert ours == pytest.approx(math.sqrt(share * (1 - share) / (len(values) - 1)), abs=1e-12)
