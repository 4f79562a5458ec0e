"""The sentence that a comparison's page opens with: it claims no more than the trainings allow."""

from __future__ import annotations

import pytest

from gra.compare.report.headline import _gap, _unsaid
from gra.compare.statistics.bootstrap import Difference, Interval


@pytest.mark.parametrize(
    ("low", "high", "over_trainings", "replicates", "words"),
    [
        (0.046, 0.113, True, (2, 2), "8.0 points above B, 95 % interval 4.6 to 11.3: distinguishable"),
        (
            0.046,
            0.113,
            False,
            (1, 1),
            "these trained models differ; one training each cannot show that their data does",
        ),
        (
            0.046,
            0.113,
            False,
            (2, 2),
            "these trained models differ; an interval over items only cannot show that their data does",
        ),
        (-0.01, 0.113, True, (2, 2), "not distinguishable"),
        (-0.01, 0.113, False, (1, 1), "not distinguishable"),
    ],
)
def test_the_words_follow_interval_and_trainings(
    low: float, high: float, over_trainings: bool, replicates: tuple[int, int], words: str
) -> None:
    found = Interval(0.08, low, high, 0.01)
    unsaid = _unsaid(Difference(found, {}, 1000, 0.95, replicates, over_trainings, True, {}))
    assert _gap(found, "B", 0.95, unsaid).endswith(words)


def test_the_interval_has_the_sign_of_the_words() -> None:
    said = _gap(Interval(-0.08, -0.113, -0.046, 0.01), "B", 0.95, "")
    assert said == "8.0 points below B, 95 % interval 4.6 to 11.3: distinguishable"


def test_equal_means_are_called_level() -> None:
    said = _gap(Interval(-0.0001, -0.1, 0.1, 0.05), "B", 0.95, "")
    assert said == "level with B, 95 % interval -10.0 to 10.0: not distinguishable"
