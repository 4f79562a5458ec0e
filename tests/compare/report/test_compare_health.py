"""The committee's health in the report: figures, reviewers, sets, loud warnings; nothing where there is none; all of it escaped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.compare.experiment import compare
from gra.compare.report.health import health

WARNING = "the reviewers do not agree beyond chance (Krippendorff's alpha 0.01 [-0.10, 0.12] over 60 samples)"
FOUND: dict[str, Any] = {
    "samples": 60,
    "alpha": 0.0123,
    "alpha_low": -0.1,
    "alpha_high": 0.1234,
    "draw_share": 0.623,
    "warnings": [WARNING],
    "reviewers": {
        "slm-a": {"reviews": 1234, "mean": 0.0, "sd": 0.1, "severity": 4.25, "constant": 0.97, "equal": 1.0},
        "slm-b": {"reviews": 33, "mean": 8.5, "sd": None, "severity": None, "constant": 0.5, "equal": None},
    },
    "sets": {"slm-a, slm-b": {"reviewed": 40, "accepted": 0}, "slm-b, slm-c": {"reviewed": 20, "accepted": 19}},
}


def report(make_arm: Any, tmp_path: Path, *found: Any) -> str:
    arms = [make_arm(f"arm{n}", label=f"Arm <{n}>", seed=n) for n in range(len(found))]
    for arm, value in zip(arms, found, strict=True):
        path = arm.folders["data"] / "stats.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | ({} if value is None else {"health": value})))
    compare(arms, title="t", reference="arm0", output=tmp_path / "out", options={"resamples": 300, "samples": 2})
    return (tmp_path / "out" / "report.html").read_text()


def cells(page: str, first: str) -> list[str]:
    """The cells of the table row whose first cell is `first`, in the part on health."""
    page = page.partition("Committee health")[2]
    row = page[page.index(f"<tr><td>{first}</td>") :].partition("</tr>")[0]
    return row.replace("<tr><td>", "").removesuffix("</td>").split("</td><td>")


def test_it_stands_in_the_report(make_arm: Any, tmp_path: Path) -> None:
    page = report(make_arm, tmp_path, FOUND)
    assert "<b>0.01 [-0.10, 0.12]</b><span>Krippendorff&#39;s alpha, 95 %</span>" in page
    assert "<b>62 %</b><span>of the variance of mean scores is due to who reviewed</span>" in page
    assert cells(page, "slm-a") == ["slm-a", "1,234", "0.0", "0.1", "+4.2", "97", "100"]
    assert cells(page, "slm-b") == ["slm-b", "33", "8.5", "-", "-", "50", "-"]
    assert cells(page, "slm-a, slm-b") == ["slm-a, slm-b", "40", "0", "0"]
    assert cells(page, "slm-b, slm-c") == ["slm-b, slm-c", "20", "19", "95"]
    said = WARNING.replace("'", "&#39;")
    assert f'<p class="warning loud"><strong>The committee of Arm &lt;0&gt;:</strong> {said}.</p>' in page


def test_warnings_of_all_arms_are_told(make_arm: Any, tmp_path: Path) -> None:
    page = report(make_arm, tmp_path, {**FOUND, "warnings": []}, FOUND)
    assert page.count('<p class="warning loud">') == 1
    assert "<strong>The committee of Arm &lt;1&gt;:</strong>" in page


@pytest.mark.parametrize("found", [None, {}, [], "x", {"samples": 0}, {"samples": True}, {"samples": None}])
def test_nothing_is_said_where_there_is_none(found: Any, make_arm: Any, tmp_path: Path) -> None:
    page = report(make_arm, tmp_path, found)
    assert "Committee health" not in page
    assert 'class="warning loud"' not in page


def test_names_and_words_are_escaped(make_arm: Any, tmp_path: Path) -> None:
    name, words = "<img src=x onerror=alert(1)>\x1b[2J", "<script>alert(1)</script> {{ 7 * 7 }}"
    hostile = {
        **FOUND,
        "warnings": [words],
        "reviewers": {name: FOUND["reviewers"]["slm-a"]},
        "sets": {name: {"reviewed": 3}},
    }
    page = report(make_arm, tmp_path, hostile)
    assert "<img" not in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; {{ 7 * 7 }}" in page
    assert "\x1b" not in page


def test_what_a_file_of_before_meant_by_constant_is_not_shown_as_what_it_means_now() -> None:
    """There, `constant` was the share of reviews with all scores the same, and `same` that of the most frequent score."""
    entry = {"reviews": 30, "mean": 5.0, "sd": 1.0, "severity": 0.5, "constant": 1.0, "same": 0.2}
    found = health({"samples": 60, "reviewers": {"a": entry}})
    assert found is not None
    assert found.reviewers == (("a", "30", "5.0", "1.0", "+0.5", "-", "-"),)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "mean", "reviewed"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.fixed_dictionaries({"samples": st.integers(1, 9)}, optional={key: ANY for key in FOUND if key != "samples"}))
def test_any_file_gives_text(found: dict[str, Any]) -> None:
    made = health(found)
    assert made is not None
    assert all(
        isinstance(cell, str) for row in (*made.reviewers, *made.sets, *made.figures, made.warnings) for cell in row
    )
