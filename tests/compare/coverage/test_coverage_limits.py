"""How many samples a map takes: of a set, and of all sets together."""

from __future__ import annotations

import numpy as np
import pytest

from gra.compare.coverage import measure as measuring
from gra.compare.coverage.measure import Coverage, measure
from gra.embedding.embed import hashed


def test_no_set_and_not_all_sets_together_get_more_points_than_a_page_has_time_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measuring, "MOST", 60)
    asked: list[int] = []

    def embed(texts: list[str]) -> np.ndarray:
        asked.append(len(texts))
        return hashed(texts)

    for sets, points in ((2, 60), (4, 37)):
        told = measure(
            {f"set {n}": [(str(i), f"task {n} {i}") for i in range(90)] for n in range(sets)}, embed, total=150
        )
        assert isinstance(told, Coverage)
        assert [len(one.points) for one in told.sets] == [points] * sets
        assert [one.distinct for one in told.sets] == [90] * sets
    assert asked == [120, 148]
