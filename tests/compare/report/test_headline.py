"""The sentence that a comparison's page opens with: it claims no more than the trainings allow."""

from __future__ import annotations

import pytest

from gra.compare.report.headline import _gap
from gra.compare.statistics.bootstrap import Interval


@pytest.mark.parametrize(
    ("low", "high", "once", "words"),
    [
        (0.046, 0.113, False, "8.0 points above B, 95 % interval 4.6 to 11.3: distinguishable"),
        (0.046, 0.113, True, "these two trained models differ; one training each cannot show that their data does"),
        (-0.01, 0.113, False, "not distinguishable"),
        (-0.01, 0.113, True, "not distinguishable"),
    ],
)
def test_the_words_follow_interval_and_trainings(low: float, high: float, once: bool, words: str) -> None:
    assert _gap(Interval(0.08, low, high, 0.01), "B", 0.95, once).endswith(words)


def test_the_interval_has_the_sign_of_the_words() -> None:
    said = _gap(Interval(-0.08, -0.113, -0.046, 0.01), "B", 0.95, False)
    assert said == "8.0 points below B, 95 % interval 4.6 to 11.3: distinguishable"


def test_equal_means_are_called_level() -> None:
    said = _gap(Interval(-0.0001, -0.1, 0.1, 0.05), "B", 0.95, False)
    assert said == "level with B, 95 % interval -10.0 to 10.0: not distinguishable"
