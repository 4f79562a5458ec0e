"""FLOPs beside tokens: known where the synthesis knew them, a dash where not, zero only for data that no model made."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from gra.compare.arms import Arm
from gra.compare.tables import csv_export, rows, table
from gra.compare.tables.data_columns import Facts


def with_stats(arm: Arm, **changes: Any) -> Arm:
    path = arm.folders["data"] / "stats.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return arm


def compared(arms: list[Arm]) -> rows.Comparison:
    return rows.build(arms, title="t", reference=arms[0].name, resamples=100, level=0.95, seed=0)


def test_flops_per_sample_stand_beside_tokens(make_arm: Any) -> None:
    one = {"steps": ("data",), "kept": 20, "dropped": 0}
    arms = [
        with_stats(make_arm("gra", **one), cost={"flops": 2e16}),
        with_stats(make_arm("large", **one), cost={"flops": None}),
        make_arm("old", **one),  # made before there was an account
        with_stats(make_arm("seed", **one), tokens={}, calls=0),
    ]
    found = compared(arms)
    assert [row.facts.flops_per_sample for row in found.rows] == [1e15, None, None, 0.0]
    place = table.data_headings(found).index("FLOPs/sample")
    assert [table.data_cells(row, found)[place] for row in found.rows] == ["1.00P", "-", "-", "0"]
    lines = csv_export.read_csv(csv_export.csv_text(found))
    assert [line["flops"] for line in lines] == [2e16, None, None, 0.0]
    assert "FLOPs/sample" in table.terminal(found, 80)
    assert any("2 x parameters x tokens" in note and "made up" in note for note in table.notes(found))
    assert not any("parameters" in note for note in table.notes(compared(arms[1:])))


def test_columns_without_any_value_are_left_out(make_arm: Any) -> None:
    """Real models have no audit, so no share of wrong samples."""
    real = compared([make_arm("a", steps=("data",), kept=20, dropped=0), make_arm("b", steps=("data",), kept=9)])
    assert "Wrong %" not in table.data_headings(real)
    assert "Wrong" not in table.terminal(real, 120)
    half = compared([make_arm("c", kept=20), make_arm("d", steps=("data",), kept=9)])
    place = table.data_headings(half).index("Wrong %")
    assert [table.data_cells(row, half)[place] == "-" for row in half.rows] == [False, True]


@pytest.mark.parametrize("bad", ["many", True, None, [], {"flops": "many"}])
def test_an_odd_account_is_unknown(make_arm: Any, bad: Any) -> None:
    arm = with_stats(make_arm("gra", steps=("data",), kept=20, dropped=0), cost=bad)
    assert compared([arm]).rows[0].facts.flops is None


def test_facts_can_be_copied_and_pickled() -> None:
    found = Facts(1, {"kept": 20.0})
    assert [f.kept for f in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found)))] == [20.0] * 3
    with pytest.raises(AttributeError, match="nothing"):
        _ = found.nothing
