"""Krippendorff's alpha against the package of that name, and statistics whose numbers add up."""

from __future__ import annotations

import random
from dataclasses import replace

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.synthesis.committee.agreement import interval_alpha
from gra.synthesis.committee.records import DIMENSIONS, CallRecord, Check, Outcome, Review, Roles
from gra.synthesis.output.stats import statistics
from gra.synthesis.settings import SynthesisSettings

units = st.lists(st.lists(st.integers(0, 60), max_size=4), max_size=30)


@given(units)
def test_alpha_is_krippendorffs(scores):
    table = np.full((4, len(scores)), np.nan)
    for column, unit in enumerate(scores):
        table[: len(unit), column] = unit
    mine = interval_alpha(scores)
    pairable = [unit for unit in scores if len(unit) > 1]
    if mine is None:
        assert len({x for unit in pairable for x in unit}) < 2
    else:
        assert mine == pytest.approx(krippendorff.alpha(table, level_of_measurement="interval"), abs=1e-9)


def test_alpha_at_its_ends():
    assert interval_alpha([[1, 1], [5, 5, 5]]) == 1.0
    assert interval_alpha([[0, 60], [60, 0]]) < 0
    assert interval_alpha([]) is None
    assert interval_alpha([[7], [8]]) is None
    assert interval_alpha([[7, 7], [7, 7]]) is None


ROLES = Roles("a", ("b", "c", "d"), "e", "a")


def review(model: str, value: int | None) -> Review:
    return Review(
        model,
        None if value is None else dict.fromkeys(DIMENSIONS, value),
        missing=None if value is not None else "no JSON",
    )


def outcomes(seed: int, n: int) -> tuple[list[Outcome], list[Outcome]]:
    rng = random.Random(seed)
    kept, rejected = [], []
    for i in range(n):
        call = CallRecord(
            f"k{i}", "review", "reviewer", rng.choice("abc"), 0, *rng.choice([(5, 7), (None, None), (3, None)])
        )
        base = Outcome(f"s{i}", 1 + i % 3, i, "coding", ROLES, (), "accepted", calls=(call,) * rng.randint(0, 3))
        dropped = ["contaminated", "duplicate", "surplus", "instruction_rejected", "below_tau", "adjudicated_out"]
        fate = rng.choice(["kept", "adjudicated", *dropped])
        if fate in ("kept", "adjudicated", "duplicate", "below_tau"):
            values = [rng.choice([None, 7, 8, 9]) for _ in range(3)]
            known = [v for v in values if v is not None]
            std = float(np.std(known)) if known else None
            base = replace(base, reviews=tuple(review(m, v) for m, v in zip("bcd", values, strict=True)), std=std)
        if fate.startswith("adjudicated"):
            base = replace(base, adjudicated=True, adjudication=review("e", rng.choice([None, 9])))
        if fate in ("kept", "adjudicated"):
            kept.append(base)
        else:
            rejected.append(replace(base, status="rejected", reason=fate, checks=(Check("b", None, missing="x"),)))
    return kept, rejected


@given(st.integers(0, 10**6), st.integers(0, 40))
def test_the_funnel_adds_up_in_total_and_by_round(seed, n):
    kept, rejected = outcomes(seed, n)
    stats = statistics(
        kept, rejected, settings=SynthesisSettings(), seed_calls=[CallRecord("s", "annotate_seed", "annotator", "a")]
    )
    for part in [stats, *stats["rounds"]]:
        assert part["proposals"] == part["instruction_rejected"] + part["rejected"] + part["accepted"]
        assert part["accepted"] == part["kept"] + part["contaminated"] + part["duplicates"] + part["surplus"]
        assert sum(part["reasons"].values()) == part["proposals"] - part["kept"]
        assert part["adjudicated_kept"] <= part["adjudicated"]
        assert part["calls"] == sum(r["calls"] for roles in part["tokens"].values() for r in roles.values())
    for key in ("proposals", "kept", "missing_verdicts", "adjudicated", "duplicates"):
        assert stats[key] == sum(part[key] for part in stats["rounds"])
    assert stats["calls"] == 1 + sum(part["calls"] for part in stats["rounds"])
    assert stats["simulated"] is False


def test_shares_and_missing_verdicts():
    def sample(name, values, std):
        return Outcome(name, 1, 0, "d", ROLES, (), "accepted", std=std, reviews=tuple(map(review, "bcd", values)))

    calm, torn, gap = sample("x", (8, 8, 8), 0.0), sample("y", (10, 10, 6), 1.9), sample("z", (8, None, 8), 0.0)
    stats = statistics([calm, torn, gap], [], settings=SynthesisSettings())
    assert stats["low_std_share"] == 0.5
    assert stats["missing_verdicts"] == 1
    assert statistics([gap], [])["low_std_share"] is None
    assert statistics([], [])["krippendorff_alpha"] is None


def test_unknown_token_counts_stay_unknown():
    calls = [
        CallRecord("1", "s", "r", "m", 0, 5, 7),
        CallRecord("2", "s", "r", "m", 0, None, None),
        CallRecord("3", "s", "q", "m"),
    ]
    assert statistics([], [], seed_calls=calls)["tokens"] == {
        "m": {
            "q": {"in": None, "out": None, "calls": 1, "unknown": 1},
            "r": {"in": 5, "out": 7, "calls": 2, "unknown": 1},
        }
    }
