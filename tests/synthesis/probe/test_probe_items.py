"""What reviewers are shown in a probe: wrong answers are wrong in one place, labels hold, and the seed decides all."""

from __future__ import annotations

import random
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.errors import ConfigError
from gra.known import Known
from gra.simulation.known import source as world
from gra.simulation.world import judge
from gra.simulation.world_stage import WorldSettings, seeds_of
from gra.synthesis.committee.records import Seed
from gra.synthesis.probe.alterations import changed, negated, truncated
from gra.synthesis.probe.exact import answer_of
from gra.synthesis.probe.exact import source as exact
from gra.synthesis.probe.items import Pair, by_rule, choose_known, on_policy


@given(st.text(max_size=300), st.integers(0, 99))
def test_an_altered_answer_is_another_text_or_none(text: str, seed: int) -> None:
    for alter in (changed, truncated, negated):
        found = alter(text, random.Random(seed))
        assert found is None or found != text
        assert found == alter(text, random.Random(seed))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("She has 3 + 4 = 7 coins.\nThe answer is 7.", "She has 3 + 4 = 7 coins.\nThe answer is "),
        ("1. Save money.\n2. Spend 40 dollars.\n3. Rest.", "1. Save money.\n2. Spend "),
        ("def f(a, b):\n    return a + b", "def f(a, b):\n    return a "),
    ],
)
def test_one_number_or_operator_is_changed_and_no_place_in_a_list(text: str, part: str) -> None:
    for seed in range(20):
        found = changed(text, random.Random(seed))
        assert found is not None
        assert found.startswith(part)
        assert found != text


def test_no_number_no_operator_nothing_to_change() -> None:
    assert changed("1. Rest.\n2. Sleep.", random.Random(0)) is None
    assert changed("A poem about the sea.", random.Random(0)) is None


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("The sky is blue.", "The sky is not blue."),
        ("He can't swim.", "He can swim."),
        ("It is not cold.", "It is cold."),
        ("Yes, it is.", "No, it is."),
        ("True", "False"),
        ("Whales do not lay eggs.", "Whales do lay eggs."),
    ],
)
def test_negation(text: str, wrong: str) -> None:
    assert negated(text, random.Random(0)) == wrong


def test_what_is_cut_off_ends_in_the_middle_of_a_sentence() -> None:
    text = "The first point is this. The second point is that one. " * 5
    for seed in range(20):
        found = truncated(text, random.Random(seed))
        assert found is not None
        assert text.startswith(found)
        assert not found.endswith(".")
        assert len(found) < len(text) / 2
    assert truncated("The answer is 4.", random.Random(0)) is None


def world_seeds(count: int = 210) -> list[Seed]:
    return [
        Seed(s["id"], s["instruction"], s["output"], domain=s["domain"])
        for s in seeds_of(WorldSettings(seeds=count, wrong_seed_share=0.3), random.Random(4))
    ]


def test_labels_are_the_world_s_truth_though_seeds_are_wrong() -> None:
    seeds = world_seeds()
    pairs = [Pair(k.id, k.instruction, k.response, k.domain or "", k) for k in world({}, seeds)]
    made = by_rule(pairs, 60, 1, ("mismatched", "changed", "negated", "known-wrong"))
    assert len(made) == 120
    assert sum(item.right for item in made) == 60
    for item in made:
        assert judge(item.instruction, item.response) is item.right
    assert len({item.domain for item in made}) == 7
    assert made == by_rule(pairs[::-1], 60, 1, ("mismatched", "changed", "negated", "known-wrong"))
    assert made != by_rule(pairs, 60, 2, ("mismatched", "changed", "negated", "known-wrong"))


def test_an_alteration_that_changes_nothing_by_the_rule_is_left_out() -> None:
    lenient = Known("k", "How many?", "The answer is 7.", "mathematics", lambda reply: "answer" in reply)
    assert by_rule([Pair("k", "How many?", "The answer is 7.", "mathematics", lenient)], 5, 0, ("changed",)) == []
    false = Known("k", "How many?", "The answer is 7.", "mathematics", lambda _reply: False)
    assert by_rule([Pair("k", "How many?", "The answer is 7.", "mathematics", false)], 5, 0, ("changed",)) == []


def test_on_policy_answers_are_labelled_by_the_rule() -> None:
    known = Known("k", "2 + 3?", "5", "mathematics", partial(lambda gold, reply: gold in reply if reply else None, "5"))
    found = on_policy(known, "slm-a", "It is 5.")
    assert found is not None
    assert (found.right, found.author, found.question) == (True, "slm-a", "k")
    wrong = on_policy(known, "slm-a", "It is 6.")
    assert wrong is not None
    assert not wrong.right
    assert on_policy(known, "slm-a", "") is None


def test_known_questions_are_drawn_over_domains() -> None:
    known = world({}, world_seeds())
    chosen = choose_known(known, 14, 0)
    assert len({one.domain for one in chosen}) == 7
    assert chosen == choose_known(known[::-1], 14, 0)


@pytest.mark.parametrize(
    ("answer", "replies", "wrong"),
    [
        ("#### 72", ["The answer is 72.", "So 48 + 24 = 72", "72 clips", "$72.00"], ["71", "I do not know", "48"]),
        ("17/12", ["3/4 + 2/3 = 17/12", "The answer is 17/12"], ["12/17", "1"]),
        ("The answer is Paris.", ["The answer is paris."], ["Paris or Rome", "The answer is Rome."]),
        ("False", ["false.", "False, since 2 is even."], ["True", "It may be false"]),
    ],
)
def test_exact_answers(answer: str, replies: list[str], wrong: list[str]) -> None:
    (known,) = exact({}, [Seed("s", "What is it?", answer)])
    assert [known.right(reply) for reply in replies] == [True] * len(replies)
    assert [known.right(reply) for reply in wrong] == [False] * len(wrong)


def test_an_answer_that_is_no_exact_one_is_no_known_question() -> None:
    long = "There are 3 reasons. First, cost. Second, time. Third, the 12 people."
    vague = [Seed("s", "Why?", long), Seed("t", "Write a poem", "Roses are red"), Seed("u", "Which?\nA. x\nB. y", "x")]
    assert exact({}, vague) == []
    (choice,) = exact({}, [Seed("s", "Which?\nA. red\nB. blue", "B. blue")])
    assert [choice.right(reply) for reply in ("B", "b) blue", "The answer is B.")] == [True] * 3
    assert [choice.right(reply) for reply in ("A. red", "blue")] == [False] * 2
    with pytest.raises(ConfigError):
        exact({"typo": 1}, [])


@given(st.text(max_size=200), st.booleans(), st.booleans())
def test_any_text_can_be_read(text: str, choice: bool, whole: bool) -> None:
    answer_of(text, choice=choice, whole=whole)
