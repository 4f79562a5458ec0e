"""The classifier of instructions: it learns from labels, gives equal labels equal probabilities, and says how good it is."""

from __future__ import annotations

import pytest

from gra.synthesis.task_filter.classifier import TaskFilter, sentence
from gra.synthesis.task_filter.label_files import Labelled, read_labels

PACKAGED = read_labels(["gra:labels/small_tasks.jsonl"])


@pytest.fixture(scope="module")
def packaged() -> TaskFilter:
    return TaskFilter(PACKAGED, 0.85)


def test_it_tells_tasks_that_it_has_not_seen_from_other_texts(packaged: TaskFilter) -> None:
    account = packaged.account
    assert account["auc"] >= 0.7
    assert account["others_pass"] < account["tasks_pass"] / 2
    assert packaged.fault("Write a Python function `count_words(text)` that counts the words of a text.") is None
    for text in ('Which of these two verbs is right: "see" or "see"?', "The birds are in the sky. What is the sky?"):
        assert "of being a task, below 0.85" in str(packaged.fault(text))


def test_the_threshold_is_the_lowest_probability_that_passes(packaged: TaskFilter) -> None:
    text = "Name three fruits."
    exact = packaged.probability(text)
    assert TaskFilter(PACKAGED, exact).fault(text) is None
    assert TaskFilter(PACKAGED, min(1.0, exact + 1e-4)).fault(text) is not None


def test_the_same_labels_give_the_same_probabilities(packaged: TaskFilter) -> None:
    again = TaskFilter(Labelled(PACKAGED.tasks, PACKAGED.others), 0.85)
    for text in (*PACKAGED.tasks[:20], *PACKAGED.others[:20], "", "¿Qué hora es?", "你好", "x" * 100_000):
        assert again.probability(text) == packaged.probability(text)


ONE_KIND = tuple(f"Write a poem about {n}" for n in range(20))
MANY_KINDS = tuple(f"{word} is there {n}" for n, word in enumerate("a b c d e f g h i j k l m n o p q r s t".split()))


@pytest.mark.parametrize(
    ("tasks", "others"),
    [(ONE_KIND, tuple(f"It is a {n}" for n in range(20))), (ONE_KIND, MANY_KINDS), (MANY_KINDS, ONE_KIND)],
)
def test_no_figure_is_made_up_where_labels_are_too_alike_to_test(
    tasks: tuple[str, ...], others: tuple[str, ...]
) -> None:
    alike = Labelled(tasks, others)
    account = TaskFilter(alike, 0.5).account
    assert "auc" not in account
    assert "too few kinds to test it" in sentence(account)


def test_the_sentence_says_what_was_learned_and_how_good_it_is(packaged: TaskFilter) -> None:
    said = sentence(packaged.account)
    assert "429 instructions labelled as tasks and 147 labelled as none" in said
    assert f"(AUC {packaged.account['auc']:.2f})" in said


def test_labels_in_a_script_without_spaces_can_be_learned() -> None:
    signs = [chr(0x4E00 + n) for n in range(60)]
    tasks, others = (
        tuple(f"{sign}{end}" for sign in signs[part : part + 30]) for part, end in ((0, "写诗"), (30, "是书"))
    )
    judge = TaskFilter(Labelled(tasks, others), 0.5)
    assert judge.fault("龙写诗") is None
    assert judge.fault("龙是书") is not None
    assert "auc" in judge.account
