"""Power: detectable effects against statsmodels' and scipy's exact power, and the plan against simulated comparisons."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gra.compare.power_sheet import for_suite, sheet
from gra.compare.statistics.bootstrap import Interval, paired_bootstrap
from gra.compare.statistics.item_scores import Outcomes
from gra.compare.statistics.power import Design, detectable, effect, error, items_needed, trainings_needed
from gra.errors import ConfigError
from gra.intervals import student

PAPER = Design(items=[1319, 5000, 164, 500, 10042, 1172, 198, 6511, 14042, 541], share=[0.6] * 10)


@pytest.mark.parametrize("df", [4, 10, 30, 1000, math.inf])
def test_a_detectable_effect_is_seen_four_times_in_five(df: float) -> None:
    """Against the exact power of a t test, by the noncentral t distribution."""
    reach = student(0.95, df) * 0.01
    shift = detectable(Interval(0.0, -reach, reach, 1.0, df), 0.95) / 0.01
    if df == math.inf:
        power = 1 - stats.norm.cdf(stats.norm.ppf(0.975) - shift)
        assert power == pytest.approx(0.8, abs=1e-4)
    else:
        critical = stats.t.ppf(0.975, df)
        power = 1 - stats.nct.cdf(critical, df, shift) + stats.nct.cdf(-critical, df, shift)
        assert power == pytest.approx(0.8, abs=0.03)


def simulated(
    design: Design, trainings: int, shift: float, rng: np.random.Generator
) -> tuple[dict[str, Outcomes], dict[str, Outcomes]]:
    """Two arms whose answers are correlated as the design says; the first is better by `shift` on every benchmark."""
    noise = [rng.normal(0, design.noise, trainings) for _ in range(2)]
    arms: list[dict[str, Outcomes]] = [{}, {}]
    for place, (n, p) in enumerate(zip(design.items, design.share, strict=True)):
        for side in (0, 1):
            # an answer copies the item's common one with chance sqrt(r), so two answers agree with correlation r
            if side == 0:
                common = rng.random(n) < p
            own = np.where(rng.random(n) < math.sqrt(design.between / design.within), common, rng.random(n) < p)
            answers = np.where(
                rng.random((trainings, n)) < math.sqrt(design.within), own, rng.random((trainings, n)) < p
            )
            change = noise[side][:, None] + (shift if side == 0 else 0.0)
            flip = rng.random((trainings, n))
            up = ~answers & (flip < np.maximum(change, 0) / (1 - p))
            down = answers & (flip < np.maximum(-change, 0) / p)
            correct = (answers | up) & ~down
            arms[side][f"b{place}"] = Outcomes(
                tuple(map(str, range(n))), correct.astype(float), tuple(range(trainings))
            )
    return arms[0], arms[1]


@pytest.mark.parametrize(("trainings", "noise"), [(1, 0.0), (3, 0.005), (5, 0.01)])
def test_the_plan_is_what_comparisons_then_see(trainings: int, noise: float) -> None:
    """At the planned detectable effect, about four in five simulated comparisons exclude no difference."""
    design = Design(items=[300, 500, 400], share=[0.5, 0.6, 0.4], noise=noise)
    wanted = effect(design, trainings)
    rng, seen, spread = np.random.default_rng(5), 0, []
    for _ in range(160):
        found = paired_bootstrap(*simulated(design, trainings, wanted, rng), resamples=400).mean
        seen += found.low > 0
        spread.append(found.value)
    assert np.std(spread) == pytest.approx(error(design, trainings)[0], rel=0.2)
    assert 0.68 <= seen / 160 <= 0.92


@pytest.mark.parametrize(("items", "share", "trainings"), [(10, 0.5, 1), (10, 0.08, 1), (10, 0.3, 3)])
def test_the_plan_of_few_items_is_what_tables_then_show(items: int, share: float, trainings: int) -> None:
    """Where few items differ, intervals are widened (edges.py), and the plan foresees it."""
    design = Design(items=[items] * 7, share=[share] * 7, noise=0.01 if trainings > 1 else 0.0)
    wanted = effect(design, trainings)
    rng, seen, shown = np.random.default_rng(1), 0, []
    for _ in range(100):
        found = paired_bootstrap(*simulated(design, trainings, wanted, rng), resamples=400).mean
        seen += found.low > 0
        shown.append(detectable(found, 0.95))
    assert wanted == pytest.approx(np.median(shown), rel=0.15)
    assert 0.6 <= seen / 100 <= 0.92


@given(st.integers(2, 20), st.floats(0, 0.03))
def test_more_never_sees_less(trainings: int, noise: float) -> None:
    design = Design(items=[200, 400], share=[0.5, 0.3], noise=noise)
    assert effect(design, trainings + 1) <= effect(design, trainings) + 1e-12
    more = Design(items=[400, 800], share=[0.5, 0.3], noise=noise)
    assert effect(more, trainings) <= effect(design, trainings) + 1e-12


def test_what_is_needed_is_just_enough() -> None:
    wanted = 0.02
    count = trainings_needed(PAPER, wanted)
    assert count is not None
    assert effect(PAPER, count) <= wanted < effect(PAPER, count - 1)
    factor = items_needed(PAPER, 9, wanted)
    assert factor is not None
    scaled = Design(items=[round(factor * n) for n in PAPER.items], share=PAPER.share)
    assert effect(scaled, 9) == pytest.approx(wanted, rel=0.01)
    loud = Design(items=PAPER.items, share=PAPER.share, noise=0.02)
    assert items_needed(loud, 2, 0.01) is None  # no number of items helps against the noise of two trainings
    assert trainings_needed(loud, 1e-4) is None


def test_a_suites_sizes_are_the_papers_or_those_that_the_experiment_writes() -> None:
    def items(*tasks: str, limit: int | None = None) -> str:
        (size,) = re.findall(r"\(([\d,]+) items\)", for_suite(tasks, limit, 0.02, 0.95, {"own": 150}).notes[0])
        return str(size)

    assert (items("own"), items("own", "gsm8k"), items("own", limit=10)) == ("150", "1,469", "10")
    assert items("own", "drop", limit=200) == "350"
    with pytest.raises(ConfigError, match="the size of `drop` is unknown"):
        items("own", "drop")


def test_designs_that_make_no_sense_are_refused() -> None:
    for wrong in (
        {"items": [], "share": []},
        {"items": [0], "share": [0.5]},
        {"items": [9], "share": [0.5], "between": 0.9, "within": 0.5},
    ):
        with pytest.raises(ValueError, match=r"design|expected"):
            Design(**wrong)  # type: ignore[arg-type]


def test_no_effect_of_more_than_a_hundred_points_is_promised() -> None:
    cells = [cell for line in sheet(Design([3], [0.0]), 0.02, "").lines[:-1] for cell in line[1:]]
    assert "none" in cells
    assert all(float(cell) <= 100 for cell in cells if cell not in ("none", "-"))
