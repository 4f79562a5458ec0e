"""The grid of simulated worlds: its arms are counted rightly, and its settings do what they say. Everything is simulated."""

from __future__ import annotations

import math
import random
from itertools import product

import pytest

from benchmarks.sensitive_arms import COMMITTEE, NO_REVIEW, SMALL, Arm, arm, judged
from benchmarks.sensitivity import Results, arm_cells, gate_cells, mean_and_half, run
from gra.simulation.traits import Traits
from gra.simulation.world import draw, say, skills_of


def test_an_arm_is_counted_by_the_worlds_truth() -> None:
    found = judged(
        [
            ("What is 17 + 25?", "The answer is 42."),
            ("What is 17 + 24?", "The answer is 4."),
            ("Who rules the city of Atlantis?", "The answer is Zeus."),
        ],
        0.5,
    )
    assert (found.wrong, found.flawed, found.samples, found.keep) == (0.5, pytest.approx(1 / 3), 3, 0.5)
    mathematics = [skill for skill in skills_of("mathematics") if skill.unique]
    assert found.cover == pytest.approx(
        0.5 / (6 * len(mathematics)) / 7
    )  # one wording of one skill of one domain of seven


def test_data_that_is_right_everywhere_covers_everything() -> None:
    rng, pairs = random.Random(0), []
    for domain in ("coding", "creation"):
        for skill, form in product(skills_of(domain), range(6)):
            instance = draw(skill, rng, (form,))
            assert instance is not None
            pairs.append((instance.text, say(str(instance.answer), instance.opening)))
    assert judged(pairs, 1.0).cover == pytest.approx(2 / 7)


def test_every_cell_of_the_grid_is_there_once() -> None:
    gate, arms = gate_cells(10, 2), arm_cells(50, 2)
    assert len(gate) == 3 * 2 * 2 * (3 * 3 * 3 + 1)
    for cells in (gate, arms):
        assert len({(cell.place, cell.world) for cell in cells}) == len(cells)


@pytest.fixture(scope="module")
def fooled() -> dict[str, Arm]:
    """The committee as in the profiles, and one whose members share nearly all mistakes and hardly look."""
    blind = Traits(error_correlation=0.8, wrong_agreement=0.9, lazy=0.6, halo=0.2, leniency=1.0)
    return {
        "without review": arm(NO_REVIEW, SMALL, Traits(), 90, 0),
        "seeing": arm(COMMITTEE, SMALL, Traits(), 90, 0),
        "blind, without review": arm(NO_REVIEW, SMALL, blind, 90, 0),
        "blind": arm(COMMITTEE, SMALL, blind, 90, 0),
    }


def test_a_committee_can_be_fooled(fooled: dict[str, Arm]) -> None:
    assert all(found.samples == 90 for found in fooled.values())
    assert fooled["seeing"].wrong < fooled["without review"].wrong / 3
    assert fooled["blind"].wrong > fooled["blind, without review"].wrong * 0.6
    assert fooled["blind"].keep > fooled["seeing"].keep


def test_the_same_cell_has_the_same_result() -> None:
    cell = gate_cells(12, 1)[1]
    first = run(cell)
    assert first == run(cell)
    table = Results([cell], [first]).table().splitlines()
    assert table[0].startswith("arm,likeness,breadth,lazy,halo,leniency,world,wrong")
    assert len(table) == 2


def test_intervals_are_students_over_worlds() -> None:
    mean, half = mean_and_half([1.0, 2.0, 3.0, math.nan])
    assert mean == 2.0
    assert half == pytest.approx(4.302653 * 1.0 / math.sqrt(3), abs=1e-4)
    assert mean_and_half([0.5]) == (0.5, None)
