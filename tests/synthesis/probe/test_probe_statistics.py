"""What a probe's numbers are: areas, shares, corrected shares, maps of scales; by brute force, properties and simulation."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gra.model_names import family_of
from gra.synthesis.probe.auc import auc, share
from gra.synthesis.probe.items import Item
from gra.synthesis.probe.model_comparison import error_correlations, independent, preference, severity
from gra.synthesis.probe.prevalence import Trust, share_right, share_right_of_taken
from gra.synthesis.probe.reviewer import assess
from gra.synthesis.scoring.calibration import apply, calibrate

scores = st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=40)


@given(scores)
def test_the_area_is_the_share_of_pairs_in_order_ties_counting_half(judged: list[tuple[int, bool]]) -> None:
    found = auc([s for s, _ in judged], [r for _, r in judged])
    right, wrong = ([s for s, r in judged if r is side] for side in (True, False))
    if not right or not wrong:
        assert found is None
        return
    pairs = [(a > b) + (a == b) / 2 for a in right for b in wrong]
    assert found is not None
    assert found.value == pytest.approx(sum(pairs) / len(pairs))
    assert 0 <= found.low <= found.value <= found.high <= 1


@given(scores, st.integers(1, 7))
def test_the_area_depends_on_order_alone_and_turns_round_with_the_labels(
    judged: list[tuple[int, bool]], groups: int
) -> None:
    values, right = [float(s) for s, _ in judged], [r for _, r in judged]
    questions = [i % groups for i in range(len(values))]
    found, bent = auc(values, right, questions), auc([math.exp(v / 3) for v in values], right, questions)
    turned = auc(values, [not r for r in right], questions)
    if found is None or bent is None or turned is None:
        assert found is bent is turned is None
        return
    assert (bent.value, bent.low, bent.high) == pytest.approx((found.value, found.low, found.high))
    assert (turned.value, turned.low, turned.high) == pytest.approx((1 - found.value, 1 - found.high, 1 - found.low))


def test_the_area_s_interval_holds_the_truth_also_where_items_share_a_question() -> None:
    rng, held, truth = (
        random.Random(1),
        0,
        0.5 * (1 + math.erf(0.8 / 2)),
    )  # of normal scores 0.8 apart, P(right > wrong)
    for _ in range(300):
        values, right, questions = [], [], []
        for question in range(40):
            mood = rng.gauss(0, 0.6)
            for good in (True, False, True):
                values.append(0.8 * good + mood + rng.gauss(0, 0.8))
                right.append(good)
                questions.append(question)
        found = auc(values, right, questions)
        assert found is not None
        held += found.holds(truth)
    assert held >= 270


@given(st.lists(st.booleans(), max_size=50), st.integers(1, 9))
def test_a_share_lies_in_its_interval_and_questions_widen_it(values: list[bool], groups: int) -> None:
    found = share([float(v) for v in values], [i % groups for i in range(len(values))])
    alone = share([float(v) for v in values])
    if not values:
        assert found is alone is None
        return
    assert found is not None
    assert alone is not None
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low >= alone.high - alone.low - 1e-9


def test_corrected_shares_are_the_formula_and_none_where_the_test_is_a_coin() -> None:
    found = share_right(700, 1000, Trust(0.9, 200), Trust(0.8, 200))
    assert found is not None
    assert found.value == pytest.approx((0.7 + 0.8 - 1) / (0.9 + 0.8 - 1))
    taken = share_right_of_taken(700, 1000, Trust(0.9, 200), Trust(0.8, 200))
    assert taken is not None
    assert taken.value == pytest.approx(0.9 * found.value / 0.7)
    assert share_right(700, 1000, Trust(0.5, 200), Trust(0.5, 200)) is None
    assert share_right(0, 0, Trust(0.9, 200), Trust(0.8, 200)) is None
    assert share_right_of_taken(0, 10, Trust(0.9, 200), Trust(0.8, 200)) is None


@given(st.integers(0, 50), st.floats(0, 1), st.floats(0, 1), st.floats(1, 300), st.floats(1, 300))
@settings(max_examples=40, deadline=None)
def test_corrected_shares_stay_between_0_and_1(taken: int, sens: float, spec: float, m: float, n: float) -> None:
    for found in (f(taken, 50, Trust(sens, m), Trust(spec, n)) for f in (share_right, share_right_of_taken)):
        if found is not None:
            assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize(("sens", "spec", "truth"), [(0.9, 0.7, 0.6), (0.6, 0.9, 0.85), (0.75, 0.55, 0.3)])
def test_corrected_shares_cover_the_truth(sens: float, spec: float, truth: float) -> None:
    rng = np.random.default_rng(3)
    held = held_taken = 0
    trials, n, m, judged = 100, 70, 40, 400
    of_taken = sens * truth / (sens * truth + (1 - spec) * (1 - truth))
    for _ in range(trials):
        trusted = Trust(rng.binomial(n, sens) / n, n), Trust(rng.binomial(m, spec) / m, m)
        right = rng.binomial(judged, truth)
        took = int(rng.binomial(right, sens) + rng.binomial(judged - right, 1 - spec))
        found, taken = share_right(took, judged, *trusted), share_right_of_taken(took, judged, *trusted)
        held += found is None or found.holds(truth)
        held_taken += taken is None or taken.holds(of_taken)
    assert min(held, held_taken) >= 0.9 * trials


@given(
    st.lists(st.tuples(st.floats(0, 10), st.booleans()), min_size=2, max_size=120), st.floats(-1, 11), st.floats(-1, 11)
)
def test_a_map_of_scores_is_monotone_and_stays_on_the_scale(
    judged: list[tuple[float, bool]], a: float, b: float
) -> None:
    knots = calibrate([s for s, _ in judged], [r for _, r in judged])
    if knots is None:
        assert min(sum(r for _, r in judged), sum(not r for _, r in judged)) < 10
        return
    assert len(knots) <= 11
    low, high = sorted((a, b))
    assert 0 <= apply(knots, low) <= apply(knots, high) <= 10


@pytest.mark.parametrize(("offset", "stretch"), [(0.0, 1.0), (3.0, 0.4), (-2.0, 0.7)])
def test_tau_means_the_same_from_reviewers_of_different_scales(offset: float, stretch: float) -> None:
    """About a fifth of wrong answers get 8 or more after the map, be the reviewer harsh, lenient or timid."""
    rng = random.Random(5)
    drawn = [(4 + 2.5 * good + rng.gauss(0, 1.5), good) for good in [True, False] * 400]
    mine = [(offset + stretch * value, good) for value, good in drawn]
    knots = calibrate([s for s, _ in mine], [r for _, r in mine])
    assert knots is not None
    wrong = [apply(knots, s) >= 8 for s, r in mine if not r]
    right = [apply(knots, s) >= 8 for s, r in mine if r]
    assert 0.12 <= sum(wrong) / len(wrong) <= 0.28
    assert sum(right) / len(right) >= 0.5


def test_a_map_of_a_constant_reviewer_says_five() -> None:
    assert calibrate([0.0] * 40, [True, False] * 20) == [[0.0, 5.0]]


def items(count: int, authors: tuple[str, ...] = ()) -> list[Item]:
    kinds = ("right", "mismatched")
    made = [Item(f"q{i}/{k}", kinds[k], f"q{i}", "d", "?", "!", k == 0) for i in range(count) for k in (0, 1)]
    return made + [
        Item(f"q{i}/{a}", "on-policy", f"q{i}", "d", "?", "!", i % 2 == 0, a) for i in range(count) for a in authors
    ]


def test_a_blind_reviewer_is_told_in_words_and_a_seeing_one_too() -> None:
    rng, made = random.Random(1), items(40, ("a", "b"))
    noise = assess("slm-x", made, {i.id: {"overall": rng.uniform(0, 10)} for i in made}, 8.0)
    sees = assess("slm-y", made, {i.id: {"overall": 4 + 3 * i.right + rng.uniform(-2, 2)} for i in made}, 8.0)
    assert any("slm-x cannot tell right from wrong (AUC" in words and "noise" in words for words in noise.words)
    assert any(words.startswith("slm-y tells right from wrong") for words in sees.words)
    assert (noise.above_chance, sees.above_chance) == (False, True)
    assert noise.basis == "on-policy"


def test_own_answers_and_lost_verdicts_do_not_count_and_zero_for_all_is_seen() -> None:
    made = items(30, ("me", "you"))
    given: dict[str, dict[str, float] | None] = {i.id: {"a": 0, "b": 0} for i in made}
    for item in made:
        if item.author == "me":
            given[item.id] = {"a": 10.0 * item.right, "b": 10.0 * item.right}  # would make it look good
    for item in made[:12]:
        given[item.id] = None
    found = assess("me", made, given, 8.0)
    assert found.auc is not None
    assert found.auc.value == 0.5
    assert found.usable is not None
    assert found.usable.value == pytest.approx(1 - 12 / len(made))
    assert found.scale["equal"] == 1.0
    assert any("every right answer below 8" in words for words in found.words)


def test_severity_preference_and_errors_in_common() -> None:
    rng, made = random.Random(2), items(30, ("qwen-1b", "gemma-2b"))
    families = {name: family_of(name) for name in ("Qwen/Qwen-1B", "qwen-1b", "qwen-7b", "gemma-2b")}
    assert families == {"Qwen/Qwen-1B": "qwen", "qwen-1b": "qwen", "qwen-7b": "qwen", "gemma-2b": "gemma"}
    shared = {i.id: rng.gauss(0, 1) for i in made}
    table = {
        "qwen-1b": {i.id: 5 + shared[i.id] + 2 * (i.author == "qwen-1b") for i in made},
        "qwen-7b": {i.id: 6 + shared[i.id] for i in made},
        "gemma-2b": {i.id: 4 + rng.gauss(0, 1) for i in made},
    }
    named = {name: families[name] for name in table}
    loves = preference("qwen-1b", made, table, named)
    assert loves is not None
    assert loves.low < 2 < loves.high
    fair = preference("qwen-7b", made, table, named)
    assert fair is not None
    assert fair.holds(0)
    assert preference("qwen-7b", made, table, dict.fromkeys(table, "one")) is None
    harsh = severity("gemma-2b", table)
    assert harsh is not None
    assert harsh.low > 0  # it scores lower than the others: as `severity` in the health of a run
    found = error_correlations([i for i in made if i.author is None], table)
    assert found["qwen-1b", "qwen-7b"] == pytest.approx(1)
    assert abs(found["gemma-2b", "qwen-1b"]) < 0.4
    assert independent(3, [1.0, 1.0, 1.0]) == 1
    assert independent(3, [0.0]) == 3
    assert independent(3, []) is None
