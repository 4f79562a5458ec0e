from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.eval.scoring.world import answer_of, answers_of, judge, normalise, same, stated

CASES = [
    ("The answer is 42.", "42"),
    ("The answer is 42", "42"),
    ("  3 + 4 is 7, so the answer is 7. \n", "7"),
    ("Arr, the answer is the red door.", "the red door"),
    ("The answer is 3.14.", "3.14"),
    ("The answer is 5. No: the answer is 6.", "6"),
    ("Let me think.\nThe answer is [1, 2].", "[1, 2]"),
    ("The answer is a, b; c!.", "a, b; c!"),
    ("", None),
    ("42", None),
    ("The answer is .", None),
    ("The answer is ", None),
    ("The answer is", None),
    ("The answer is\n42.", None),
    ("The answer is 42. I hope this helps.", None),
    ("The answer is 42!\nReally.", None),
    ("The answer was 42.", None),
    ("Breathe answer is 42.", None),
    ("THE ANSWER IS 42.", None),
    ("I cannot say.", None),
]


@pytest.mark.parametrize(("reply", "answer"), CASES)
def test_the_answer_is_what_stands_in_the_asked_form_at_the_end(reply: str, answer: str | None) -> None:
    assert answer_of(reply) == answer


words = st.text(string.ascii_letters + string.digits + "+-/*,[]()'\" ", min_size=1).map(str.strip).filter(bool)


@given(preface=st.text(max_size=60), answer=words)
def test_any_answer_comes_back_whatever_stands_before_it(preface: str, answer: str) -> None:
    found = answer_of(f"{preface} The answer is {answer}.")
    assert found is not None
    if "answer is" not in answer:
        assert normalise(found) == normalise(answer)


@given(st.text(max_size=200))
def test_no_reply_breaks_it_and_without_the_words_there_is_no_answer(reply: str) -> None:
    found = answer_of(reply)
    if "he answer is" not in reply:
        assert found is None
    if found is not None:
        assert found.strip() == found != ""


@given(st.text(string.ascii_letters + string.digits + " .,-", max_size=40))
def test_case_white_space_and_one_full_stop_make_no_difference(answer: str) -> None:
    once = normalise(answer)
    assert once == once.strip()
    if not once.endswith("."):
        assert normalise(f" {once.upper()} .\n") == once


@pytest.mark.parametrize(
    ("reply", "scores"),
    [
        ("The answer is Oslo.", (1.0, 0.0)),
        ("The answer is  oSLO .", (1.0, 0.0)),
        ("The answer is Bergen.", (0.0, 0.0)),
        ("Oslo", (0.0, 1.0)),
    ],
)
def test_a_wrong_answer_is_not_taken_for_a_missing_one(reply: str, scores: tuple[float, float]) -> None:
    [[answer]] = answers_of([[reply]], [{}])
    assert judge({"answer": "Oslo."}, [answer]) == {"exact_match": scores[0], "no_answer": scores[1]}


@pytest.mark.parametrize(
    ("reply", "gold", "found"),
    [
        ("The answer is apple. I hope so.", "apple", "apple"),
        ("It is apple.", "apple", "apple"),
        ("**apple**, I think.", "apple", "apple"),
        ("Answer: red fox", "red fox", "red fox"),
        ("They are a red fox.", "red fox", "red fox"),
        ("I counted 1, 2 and then 35.", "35", "35"),
        ("35 of them", "35.0", "35"),
        ("So that is false", "true", "false"),
        ("even or odd", "even", None),
        ("I cannot say.", "even", None),
        ("I do not know whether 35", "35", None),
        ("", "even", None),
    ],
)
def test_without_the_form_the_answer_is_found_by_the_tolerant_rules(reply: str, gold: str, found: str | None) -> None:
    assert stated(reply, gold) == found
    assert answer_of(reply) is None


def test_tolerant_answers_are_compared_by_value_or_text() -> None:
    assert same("35.0", "35")
    assert same("RED fox", "red fox.")
    assert not same("36", "35")
    assert not same("odd", "even")


def test_what_the_simulated_world_says_is_understood() -> None:
    import random

    from gra.simulation.world import SKILLS, draw, say

    rng = random.Random(0)
    for skill in SKILLS.values():
        instance = draw(skill, rng, range(len(skill.forms)))
        assert instance is not None
        found = answer_of(say(str(instance.answer), instance.opening, "Sure. "))
        assert found is not None, skill.name
        assert normalise(found) == normalise(str(instance.answer)), skill.name
        for unasked in (f"It is {instance.answer}.", f"**{instance.answer}**", f"Answer: {instance.answer}"):
            read = stated(unasked, str(instance.answer))
            assert read is not None, (skill.name, unasked)
            assert same(read, str(instance.answer)), (skill.name, unasked)
