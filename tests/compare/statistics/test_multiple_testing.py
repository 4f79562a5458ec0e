"""Holm's adjustment: a worked example, and that it neither lowers nor reorders p-values."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.compare.statistics.multiple_testing import holm


def test_holm_agrees_with_the_worked_example():
    """Four p-values: 4 x 0.01, 3 x 0.02 = 0.06, then 2 x 0.03 = 0.06 and 0.04 are raised to the largest before them."""
    adjusted = holm({"a": 0.03, "b": 0.01, "c": 0.04, "d": 0.02})
    assert adjusted == pytest.approx({"b": 0.04, "d": 0.06, "a": 0.06, "c": 0.06})
    assert list(adjusted) == ["a", "b", "c", "d"]
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=8))
def test_holm_never_lowers_nor_reorders(p_values):
    adjusted = holm(p_values)
    assert all(p_values[key] <= adjusted[key] <= 1 for key in p_values)
    order = sorted(p_values, key=lambda key: (p_values[key], key))
    assert all(adjusted[a] <= adjusted[b] for a, b in itertools.pairwise(order))
