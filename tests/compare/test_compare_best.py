"""The best of several arms: chosen on items that do not report it, and what choosing on the reported items would give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from score_folder import write_scores

from gra.compare.arms import Arm
from gra.compare.best import DEVELOPMENT, best, in_development, mean, part
from gra.compare.options import Options
from gra.compare.reading.evaluated import read
from gra.compare.statistics.item_scores import Outcomes
from gra.errors import ConfigError


def outcomes(rng: np.random.Generator, n: int = 400, p: float = 0.5) -> dict[str, Outcomes]:
    return {"t": Outcomes(tuple(f"{k:04d}" for k in range(n)), (rng.random((1, n)) < p).astype(float))}


def test_the_split_is_by_the_item_alone_and_loses_none() -> None:
    one = outcomes(np.random.default_rng(0))
    first, rest = part(one, True)["t"], part(one, False)["t"]
    assert sorted(first.doc_ids + rest.doc_ids) == list(one["t"].doc_ids)
    assert len(first.doc_ids) / 400 == pytest.approx(DEVELOPMENT, abs=0.06)
    assert first.doc_ids == tuple(item for item in one["t"].doc_ids if in_development("t", item))
    place = one["t"].doc_ids.index(rest.doc_ids[7])
    assert rest.correct[0, 7] == one["t"].correct[0, place]


def test_choosing_on_the_reported_items_is_too_high_and_on_others_is_not() -> None:
    """Five arms of equal skill: by chance one of them looks best, on the items that chose it."""
    rng = np.random.default_rng(1)
    naive, honest = [], []
    for _ in range(150):
        arms = [outcomes(rng) for _ in range(5)]
        naive.append(max(mean(arm) for arm in arms))
        chosen = max(arms, key=lambda arm: mean(part(arm, True)))
        honest.append(mean(part(chosen, False)))
    assert np.mean(naive) > 0.52
    assert np.mean(honest) == pytest.approx(0.5, abs=0.008)


def test_the_sheet_shows_both_ways(tmp_path: Path) -> None:
    arms = [
        Arm(name, name, None, {"scores": write_scores(tmp_path / name, skill, place, {"gsm8k": 80, "mbpp_chat": 80})})
        for place, (name, skill) in enumerate({"r1": -0.2, "r2": 0.2, "r3": 0.0}.items())
    ]
    evaluated = read([*arms, Arm("later", "later")], "r1")
    sheet = best(evaluated, Options(best=["r1+r2+r3", "r1+later"], resamples=200))
    assert [record["selection"] for record in sheet.records or ()] == ["development", "test"]
    assert {record["chosen"] for record in sheet.records or ()} == {"r2"}
    assert sheet.lines[2][2] == "not all of them are evaluated yet"
    strict = evaluated.scored["r2"]["strict"]
    assert (sheet.records or [])[0]["mean"] == pytest.approx(mean(part(strict, False)))
    assert (sheet.records or [])[1]["mean"] == pytest.approx(mean(strict))
    with pytest.raises(ConfigError, match="is not an arm"):
        best(evaluated, Options(best=["r1+r9"]))
