"""Quantiles in Python alone equal scipy's, and what a synthesis computes with them loads no scipy."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from gra.intervals import normal, outside, student


@settings(max_examples=300, deadline=None)
@given(st.floats(0.001, 0.99999), st.floats(-1, 12).map(lambda power: 10**power))
def test_students_quantile_is_scipys(level: float, df: float) -> None:
    assert student(level, df) == pytest.approx(float(special.stdtrit(df, (1 + level) / 2)), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("df", [0.05, 0.3, 1, 2, 3, 5, 19, 30, 200, 9_999, 10_000, 1e9])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.95, 0.99, 0.999999])
def test_the_usual_quantiles_to_eight_digits(level: float, df: float) -> None:
    assert student(level, df) == pytest.approx(float(special.stdtrit(df, (1 + level) / 2)), rel=1e-8)


@given(st.floats(0.001, 0.99999))
def test_of_endless_degrees_of_freedom_it_is_the_normal_one(level: float) -> None:
    assert student(level, math.inf) == normal(level) == pytest.approx(float(special.ndtri((1 + level) / 2)), rel=1e-9)


@given(st.floats(0, 50), st.floats(0.5, 1000))
def test_the_tail_is_scipys(t: float, df: float) -> None:
    assert outside(t, df) == pytest.approx(2 * float(special.stdtr(df, -t)), rel=1e-8, abs=1e-300)


@pytest.mark.parametrize(
    ("level", "df"), [(0, 5), (1, 5), (-0.5, 5), (0.95, 0), (0.95, -1), (0.95, math.nan), (math.nan, 5)]
)
def test_what_has_no_quantile_is_refused(level: float, df: float) -> None:
    with pytest.raises(ValueError, match="degrees of freedom"):
        student(level, df)


HEALTH = """
import sys
from gra.synthesis import stage
from gra.synthesis.probe.auc import share
from gra.synthesis.committee.health import Health
from gra.synthesis.committee.records import DIMENSIONS, Outcome, Review, Roles
health = Health()
for n in range(40):
    reviews = tuple(Review(model, dict.fromkeys(DIMENSIONS, (n + shift) % 9)) for shift, model in enumerate("ab"))
    roles = Roles("g", ("a", "b"), None, "g")
    health.add(Outcome(f"r1-{n}", 1, n, "coding", roles, (), "accepted", "", reviews=reviews, mean=5.0, std=0.0))
assert health.account()["alpha_low"] is not None
assert share([1, 0]) is not None
sys.exit("scipy" in sys.modules)
"""


def test_the_committees_health_loads_no_scipy() -> None:
    subprocess.run([sys.executable, "-c", HEALTH], check=True)
