"""What a threshold on the question "is this a task?" could reach: which instructions are taken, and what a line says."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.task_checks import Question, forms, labelled, learned, row, together
from gra.synthesis.committee.records import Record
from gra.synthesis.scoring.examples import Example, Examples

SMALL = Path(__file__).parents[2] / "results" / "small"


def test_instructions_that_models_wrote_and_all_readers_label_alike() -> None:
    tasks = labelled([SMALL, SMALL / "first_run"])
    assert (len(tasks), list(tasks.values()).count(False)) == (117, 44)
    assert (
        tasks[
            "Which of these numbers is the smallest? Which of these numbers is the largest? Which of these numbers is the middle?"
        ]
        is False
    )
    assert "For which part of the body is a dentist responsible?" not in tasks  # a seed


def test_the_classifier_is_judged_on_instructions_that_it_has_not_learned() -> None:
    tasks = labelled(
        [
            SMALL,
            *(SMALL / name for name in ("first_run", "proposals_qwen", "proposals_others", "checked", "likelihood")),
        ]
    )
    found = [one for one in learned(tasks) if one is not None]
    assert len(found) == len(tasks) == 355
    right = [one for one, task in zip(found, tasks.values(), strict=True) if task]
    wrong = [one for one, task in zip(found, tasks.values(), strict=True) if not task]
    area = sum((a > b) + (a == b) / 2 for a in right for b in wrong) / len(right) / len(wrong)
    assert 0.68 < area < 0.78  # what it has learned it tells with 0.99 and more


def test_a_line_counts_non_tasks_among_the_best() -> None:
    scores = [float(n) for n in range(20)]
    line = row("x", [*scores, None], [n % 2 == 0 for n in range(21)])
    assert line.startswith("| x | 20 | 0.45 [")
    assert line.endswith("| 5 of 10, 10 of 20 |")


@pytest.mark.parametrize("name", ["examples of the product", "non-tasks written by hand", "no examples"])
def test_examples_alternate(name: str) -> None:
    records = [Record(f"r{n}", f"Name {n} birds.", f"A list of {n}.", "d", ("a", "b", "c"), "") for n in range(8)]
    shown = forms(records)[name][0].examples.instructions
    assert [one.good for one in shown] == [n % 2 == 0 for n in range(len(shown))]


def test_a_question_after_flaws_turns_the_examples_round() -> None:
    shown = Examples((), (Example("Name three birds.", "", good=True), Example("Birds are", "", good=False)))
    chat = Question(shown, "Is something wrong in this instruction? Yes or No.", flaw=True).messages("Name two fish.")
    assert [turn["content"] for turn in chat if turn["role"] == "assistant"] == ["No", "Yes"]
    assert all("Is something wrong" in turn["content"] for turn in chat if turn["role"] == "user")


def test_questions_together_have_no_score_where_one_is_missing() -> None:
    assert together([[1.0, 2.0], [3.0, None]]) == [2.0, None]
