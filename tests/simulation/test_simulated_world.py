"""The closed world: its texts can be read back, its truth holds together, its split leaks nothing."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gra.simulation.profiles import DOMAIN_ORDER, PROFILES, RULES, rule_of
from gra.simulation.world import (
    SEED_FORMS,
    SKILLS,
    Instance,
    draw,
    final_answer,
    judge,
    looks_flawed,
    normal,
    parse,
    say,
    skills_of,
)
from gra.simulation.world.vocabulary import CITIES, DRESS, KINDS, fact
from gra.synthesis.committee.records import DOMAINS

names = st.sampled_from(sorted(SKILLS))


@st.composite
def instances(draw_value):
    skill = SKILLS[draw_value(names)]
    form = draw_value(st.integers(0, len(skill.forms) - 1))
    rng = random.Random(draw_value(st.integers(0, 10**9)))
    dress = tuple(rng.choice(DRESS[slot]) for slot in skill.dresses[form])
    return Instance(skill, skill.name, form, skill.draw(rng), dress)


@settings(max_examples=1500, deadline=None)
@given(instances())
def test_a_text_is_read_back_as_its_instance_and_no_other(instance):
    assert parse(instance.text) == instance
    assert parse(f"  {instance.text}\n") == instance
    assert len(instance.text.split()) <= 25
    readers = [s for s in SKILLS.values() if any(p.fullmatch(instance.text) for p in s.patterns)]
    assert readers == [instance.skill]


@settings(max_examples=1500, deadline=None)
@given(instances())
def test_the_solver_passes_its_own_check(instance):
    answer = instance.answer
    assert answer is not None
    for preface in ("", "Sure. ", "Let me think. "):
        assert judge(instance.text, say(answer, instance.opening, preface)) is True
    assert judge(instance.text, f"The answer is {answer}.") is not bool(instance.opening)
    assert judge(instance.text, "I do not know.") is False
    assert final_answer(say(answer, instance.opening)) == normal(answer)
    assert looks_flawed(instance.text) is None


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=400))
def test_any_text_can_be_judged(text):
    assert judge(text, text) in (None, True, False)
    final_answer(text)
    looks_flawed(text)


@pytest.mark.parametrize("name", sorted(SKILLS))
def test_wrong_rules_err_on_some_instances_and_differ(name):
    skill, rng = SKILLS[name], random.Random(name)
    wrong = dict.fromkeys(skill.rules, 0)
    answers = []
    for _ in range(300):
        instance = Instance(skill, name, 0, skill.draw(rng))
        responses = {
            rule: say(str(r.answer(*instance.values)), instance.opening if r.keeps_opening else "")
            for rule, r in skill.rules.items()
        }
        answers.append(tuple(responses.values()))
        for rule, response in responses.items():
            wrong[rule] += not instance.is_right(response)
    assert len(skill.rules) == 2
    assert all(count >= 15 for count in wrong.values()), wrong  # at least one in twenty
    assert any(a != b for a, b in answers)


def test_open_skills_check_more_than_one_answer():
    question = "Write a line of exactly 4 words that ends with the word moon."
    assert judge(question, "The answer is we saw the moon.") is True
    assert judge(question, "The answer is a cold new moon.") is True
    assert judge(question, "The answer is the moon is old.") is False
    assert judge(question, "The answer is new moon.") is False


def test_arithmetic_and_facts_by_hand():
    assert judge("What is 17 + 25?", "The answer is 42.") is True
    assert judge("What is 17 + 25?", "The answer is 32.") is False  # the carry dropped
    assert judge("What is 17 + 25?", "The answer is 42. No, wait. The answer is 43.") is False  # the last one counts
    assert judge("What does `print([5, 8, 3][2])` print?", "The answer is 3.") is True
    assert judge("What number comes next: 3, 5, 7?", "The answer is 9.") is True
    assert judge("A is true and B is false. Is 'A or not B' true or false?", "The answer is true.") is True
    assert judge("Reverse the letters a b c.", "The answer is c b a.") is True
    assert judge('You are a pirate. Begin with "Arr," and say which is larger, 4 or 7.', "The answer is 7.") is False
    assert (
        judge('You are a pirate. Begin with "Arr," and say which is larger, 4 or 7.', "Arr, the answer is 7.") is True
    )
    for kind, values in KINDS.items():
        assert {fact(kind, city) for city in CITIES} == set(values)


def test_flawed_instructions_are_seen_as_such_and_foreign_ones_are_not():
    for text in (
        "Who rules the city of Atlantis?",
        "What is the opposite of ?",
        "What is the opposite of the one above?",
    ):
        assert looks_flawed(text) is not None
        assert judge(text, "The answer is 3.") is None
    assert looks_flawed("Describe the structure of an atom.") is None
    assert parse("Describe the structure of an atom.") is None


@settings(max_examples=300, deadline=None)
@given(names, st.integers(0, 10**9), st.booleans())
def test_draw_keeps_the_split(name, seed, held_out):
    instance = draw(SKILLS[name], random.Random(seed), range(SEED_FORMS), held_out)
    assert instance is not None
    assert instance.held_out is held_out
    assert instance.form < SEED_FORMS


def test_the_split_is_by_instance_and_about_a_fifth():
    rng, held, n = random.Random(0), 0, 0
    for skill in SKILLS.values():
        for _ in range(200):
            values = skill.draw(rng)
            by_wording = {Instance(skill, skill.name, form, values).held_out for form in range(len(skill.forms))}
            assert skill.by_form or len(by_wording) == 1
            held += Instance(skill, skill.name, rng.randrange(6), values).held_out
            n += 1
    assert 0.17 < held / n < 0.23


def test_the_same_question_in_other_words_shares_its_fate():
    rng = random.Random(1)
    add, compare, voice = SKILLS["add"], SKILLS["compare"], SKILLS["persona_compare"]
    for _ in range(200):
        a, b = add.draw(rng)
        assert Instance(add, "add", 0, (a, b)).held_out == Instance(add, "add", 3, (b, a)).held_out
        who, opening, x, y, which = voice.draw(rng)
        plain = Instance(compare, "compare", 0, (y, x, which))
        assert plain.held_out == Instance(voice, "persona_compare", 0, (who, opening, x, y, which)).held_out


def test_the_catalogue_covers_every_domain_and_each_model_has_its_rules():
    assert tuple(DOMAIN_ORDER) == tuple(DOMAINS)
    assert all(len(skills_of(domain)) >= 3 for domain in DOMAINS)
    assert all(sum(skill.unique for skill in skills_of(domain)) >= 2 for domain in DOMAINS)
    topics = [topic for skill in SKILLS.values() for topic in skill.topics]
    assert len(topics) == len(set(topics))
    assert all(topic == topic.lower() and len(s.topics) >= 4 for s in SKILLS.values() for topic in s.topics)
    assert set(RULES) == set(SKILLS)
    for letters in RULES.values():
        assert re.fullmatch("[01g]{6}", letters)
    for name in SKILLS:
        small = [rule_of(model, name) for model in PROFILES if model != "slm-large"]
        assert all(small.count(rule) <= 2 for rule in small if rule), (name, small)  # no mistake is held by a majority
