"""The charts: counts add up, smoothing is what the caption says, the SVG is well formed."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gra.compare.report import charts

NUMBERS = st.lists(st.floats(0, 10), max_size=40)
CURVE = st.lists(st.floats(-5, 50), min_size=0, max_size=60).map(lambda ys: [(float(i), y) for i, y in enumerate(ys)])


@settings(max_examples=50, deadline=None)
@given(NUMBERS, NUMBERS)
def test_histogram_shows_every_value_once(kept, dropped):
    text = charts.histogram(kept, dropped, edges=[i / 2 for i in range(21)], mark=8, mark_name="<tau>", axis="a & b")
    ET.fromstring(text)
    shown = {
        title: [int(n) for n in re.findall(r": (\d+) kept, (\d+) not", title)[0]]
        for title in re.findall(r"<title>(.*?)</title>", text)
    }
    assert sum(a for a, _ in shown.values()) == len(kept)
    assert sum(b for _, b in shown.values()) == len(dropped)


@settings(max_examples=50, deadline=None)
@given(st.lists(CURVE, max_size=9))
def test_curves_are_well_formed_whatever_the_values(curves):
    text = charts.curves([(f"<{i}>", curve) for i, curve in enumerate(curves)], axis="step", value="loss")
    assert len(ET.fromstring(text).findall("polyline")) == len(curves)
    assert "nan" not in text.lower()


def test_points_stand_where_their_values_are():
    points = [("<a>", 0.0, 20.0, 15.0, 25.0), ("b", 1000.0, 40.0, 30.0, 50.0)]
    found = ET.fromstring(charts.scatter(points, axis="tokens", value="Mean")).findall("g")
    (first, second) = (one.find("circle").attrib for one in found)
    assert float(first["cx"]) == charts.LEFT
    assert float(first["cx"]) < float(second["cx"]) < charts.WIDTH - charts.RIGHT
    assert float(first["cy"]) > float(second["cy"])
    bar = found[1].find("line").attrib
    assert float(bar["y2"]) < float(second["cy"]) < float(bar["y1"])
    same = charts.scatter([("a", 0.0, 5.0, 5.0, 5.0)], axis="tokens", value="Mean")
    assert "nan" not in same.lower()


def test_smoothing_is_a_centred_moving_average_over_full_windows():
    curve = [(float(i), float(i * i)) for i in range(5)]
    assert charts.smooth(curve, 3) == [
        (1.0, pytest.approx(5 / 3)),
        (2.0, pytest.approx(14 / 3)),
        (3.0, pytest.approx(29 / 3)),
    ]
    assert charts.smooth(curve, 1) == curve


def test_thinning_keeps_the_ends():
    curve = [(float(i), 0.0) for i in range(5000)]
    thin = charts.thin(curve, 400)
    assert (len(thin), thin[0], thin[-1]) == (400, curve[0], curve[-1])
