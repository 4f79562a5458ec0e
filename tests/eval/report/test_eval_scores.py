from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.eval.report.samples import SampleRow
from gra.eval.report.scores import flat, scores, stderr

NOT_KNOWN = {"at_limit": None, "at_limit_known": 0}


def row(
    task: str,
    correct: float,
    tolerant: float | None = None,
    extracted: str | None = "x",
    cluster: str | None = None,
    at_limit: bool | None = None,
) -> SampleRow:
    return SampleRow(
        task=task,
        subtask=task,
        cluster=cluster,
        doc_id="0",
        prompt_hash="",
        reply="",
        answer="",
        extracted=extracted,
        correct=correct,
        extracted_tolerant=None,
        correct_tolerant=tolerant,
        at_limit=at_limit,
    )


def error(share: float, n: int) -> float:
    return math.sqrt(share * (1 - share) / (n - 1))


def test_each_task_has_three_scores_with_their_errors_and_the_means_are_of_benchmarks() -> None:
    a = [row("a", 1, 1), row("a", 0, 1, None), row("a", 0, 0), row("a", 0, 1, None)]
    b = [row("b", 1, 1), row("b", 1, 1)]
    result = scores(
        ["a", "b"], [*a, *b], {"a": "exact_match", "b": "acc"}, {"a": "g", "b": "g"}, True, {"a": {"shots": 5}}
    )
    assert result["simulated"] is True
    assert result["tasks"]["a"] == {
        "metric": "exact_match",
        "group": "g",
        "n": 4,
        "value": 0.25,
        "stderr": pytest.approx(error(0.25, 4)),
        "tolerant": 0.75,
        "tolerant_stderr": pytest.approx(error(0.75, 4)),
        "extraction": 0.5,
        "extraction_stderr": pytest.approx(error(0.5, 4)),
        "how": {"shots": 5},
        "macro": None,
        **NOT_KNOWN,
    }
    both = {
        "value": 0.625,
        "stderr": pytest.approx(error(0.25, 4) / 2),
        "tolerant": 0.875,
        "tolerant_stderr": pytest.approx(error(0.75, 4) / 2),
        "extraction": 0.75,
        "extraction_stderr": pytest.approx(error(0.5, 4) / 2),
        "n": 6,
        **NOT_KNOWN,
    }
    assert result["groups"] == {"g": both}
    assert result["mean"] == both
    assert flat(result) == {
        "mean": 0.625,
        "mean.tolerant": 0.875,
        "mean.extraction": 0.75,
        "a": 0.25,
        "a.tolerant": 0.75,
        "a.extraction": 0.5,
        "b": 1.0,
        "b.tolerant": 1.0,
        "b.extraction": 1.0,
    }


def test_a_task_without_items_has_no_score_and_neither_has_a_mean_that_it_belongs_to() -> None:
    result = scores(["a", "b"], [row("a", 1, 1)], {"a": "acc"}, {"b": "g"}, False)
    nothing = NOT_KNOWN | dict.fromkeys(
        ("value", "stderr", "tolerant", "tolerant_stderr", "extraction", "extraction_stderr")
    )
    assert result["tasks"]["b"] == {"metric": None, "group": "g", "n": 0, "how": {}, "macro": None, **nothing}
    assert result["mean"] == {"n": 1, **nothing}
    assert result["groups"]["g"] == {"n": 0, **nothing}
    assert result["groups"]["a"] == nothing | {"n": 1, "value": 1.0, "tolerant": 1.0, "extraction": 1.0}
    assert flat(result) == {"a": 1.0, "a.tolerant": 1.0, "a.extraction": 1.0}


def test_a_task_scored_by_likelihoods_has_a_strict_score_alone() -> None:
    result = scores(["a", "b"], [row("a", 1), row("a", 0), row("b", 1, 1), row("b", 1, 1)], {}, {}, False)
    assert {key: result["tasks"]["a"][key] for key in ("value", "tolerant", "extraction")} == {
        "value": 0.5,
        "tolerant": None,
        "extraction": None,
    }
    assert (result["mean"]["value"], result["mean"]["tolerant"], result["mean"]["extraction"]) == (0.75, None, None)


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=9), min_size=2, max_size=9))
def test_the_macro_mean_is_that_of_the_clusters_means_and_its_error_that_of_their_items(
    parts: list[list[float]],
) -> None:
    rows = [row("a", value, 1, cluster=f"subject {place}") for place, part in enumerate(parts) for value in part]
    macro = scores(["a"], rows, {}, {}, False)["tasks"]["a"]["macro"]
    assert macro["over"] == len(parts)
    assert macro["value"] == pytest.approx(sum(sum(part) / len(part) for part in parts) / len(parts))
    assert (macro["tolerant"], macro["extraction"]) == (1.0, 1.0)
    errors = [error(sum(part) / len(part), len(part)) for part in parts if len(part) > 1]
    if len(errors) < len(parts):
        assert macro["stderr"] is None  # one item does not tell how far its like lie apart
    else:
        assert macro["stderr"] == pytest.approx(math.sqrt(sum(e**2 for e in errors)) / len(parts))


def test_no_macro_mean_of_one_cluster_or_of_items_outside_any() -> None:
    rows = [row("a", 1, 1, cluster="x"), row("a", 0, 1, cluster="x"), row("b", 1, 1, cluster="x"), row("b", 1, 1)]
    result = scores(["a", "b"], rows, {}, {}, False)
    assert [result["tasks"][task]["macro"] for task in "ab"] == [None, None]


def test_replies_at_their_limit_are_counted_among_those_of_which_it_is_known() -> None:
    rows = [row("a", 1, 1, at_limit=ended) for ended in (True, False, None, True)] + [
        row("b", 1, 1, at_limit=False),
        row("c", 1),
    ]
    result = scores(["a", "b", "c"], rows, {}, {"a": "g", "c": "g"}, False)
    assert {name: (part["at_limit"], part["at_limit_known"]) for name, part in result["tasks"].items()} == {
        "a": (2, 3),
        "b": (0, 1),
        "c": (None, 0),
    }
    assert [(part["at_limit"], part["at_limit_known"]) for part in (result["groups"]["g"], result["mean"])] == [
        (2, 3),
        (2, 4),
    ]


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=2, max_size=300))
def test_the_standard_error_is_lm_evals(values: list[float]) -> None:
    from lm_eval.api.metrics import mean_stderr

    ours = stderr(values)
    assert ours == pytest.approx(mean_stderr(values), abs=1e-12)
    assert ours == pytest.approx(error(sum(values) / len(values), len(values)), abs=1e-12)
