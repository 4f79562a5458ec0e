"""The committee against single reviewers: shares by hand, lines that end at all samples, and nothing made of too little."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gra.compare.report import charts, score_shapes
from gra.compare.report.folders import arms_of
from gra.compare.report.judgements import Judged, gate, judged
from gra.compare.report.svg_file import chart_file

SCORES = st.lists(st.integers(0, 60).map(lambda sixths: sixths / 6), min_size=1, max_size=40)


def proposal(accepted: bool | None = True, std: float | None = 0.5, **scores: float) -> Judged:
    return Judged("logic", "w", scores, bool(accepted), std, accepted)


def test_each_reviewer_is_held_against_the_committee_on_its_own_samples() -> None:
    found = [
        proposal(True, mild=9.6, harsh=8.0),
        proposal(False, mild=9.6, harsh=0.5),
        proposal(False, mild=8.0, sole=2.0),
        proposal(False, harsh=3.0),  # one review: no mean of a committee
        proposal(None, std=None),
    ]
    committee, harsh, mild, sole = score_shapes.shapes(found, 8.0)
    assert (committee.name, committee.scores) == (score_shapes.COMMITTEE, (5.0, 5.05, 8.8))
    assert (committee.alone, committee.together) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert (mild.scores, mild.alone, mild.together) == ((8.0, 9.6, 9.6), 1.0, pytest.approx(1 / 3))
    assert (harsh.alone, harsh.together) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert sole.alone == 0
    cells = dict(zip(score_shapes.HEADINGS, score_shapes.cells(harsh), strict=True))
    assert cells["0.5 or less, %"] == "33.3"
    assert cells["9.5 or more, %"] == "0.0"
    assert cells["Different scores"] == "3"


def test_what_is_not_known_is_no_number() -> None:
    assert score_shapes.shapes([proposal(a=1.0), proposal(a=2.0)], 8.0) == [], "one reviewer is not a committee"
    first, *_ = score_shapes.shapes([proposal(None, a=1.0, b=2.0), proposal(True, a=1.0, b=2.0)], None)
    assert (first.alone, first.together) == (None, None)
    assert score_shapes.cells(first)[1:3] == ("-", "-")
    assert score_shapes.sentence([proposal(a=1.0, b=2.0)] * 19) == ""


def test_agreement_stands_beside_the_papers() -> None:
    found = (
        [proposal(std=1.5, a=7.0, b=10.0)] * 30
        + [proposal(std=1.6, a=1.0, b=9.0)] * 10
        + [proposal(std=0.0, a=8.0)] * 9
    )
    assert (
        "on 75.0 [59.8, 85.8] % of 40 samples with two reviews or more. The paper says 87.3 %"
        in score_shapes.sentence(found)
    )
    told = score_shapes.data(found, 8)
    assert told["agreeing"]["share"] == 0.75
    assert told["judges"]["a"]["scores"] == {"1": 10, "7": 30, "8": 9}


@settings(max_examples=50, deadline=None)
@given(st.lists(SCORES.map(sorted), min_size=1, max_size=9))
def test_every_line_rises_to_all_samples(rows: list[list[float]]) -> None:
    text = charts.cumulative(
        [(f"<{i}>", values) for i, values in enumerate(rows)], ends=(0, 10), mark=8, mark_name="<tau>", axis="a & b"
    )
    paths = [path.attrib["d"] for path in ET.fromstring(text).findall("path")]
    assert len(paths) == len(rows)
    for path in paths:
        heights = [float(y) for y in re.findall(r"V([\d.]+)", path)]
        assert heights == sorted(heights, reverse=True)
        assert heights[-1] == charts.TOP
    alone = ET.fromstring(chart_file(text, [f"<{i}>" for i in range(len(rows))], "<title>"))
    assert "<title>" in [one.text for one in alone.iter("{http://www.w3.org/2000/svg}text")]


def test_a_folder_tells_what_the_committee_accepted(make_arm: Any) -> None:
    """Also of samples that were dropped later, as duplicates."""
    found = judged(arms_of([str(make_arm("gra", steps=("data",), kept=12, dropped=12).folders["data"])])[0])
    assert [one.accepted for one in found].count(True) == 12 + 2  # two duplicates
    assert all(one.std is not None for one in found if one.scores)
    assert gate(make_arm("other", steps=("data",), kept=12)) == (8.0, 1.5)
