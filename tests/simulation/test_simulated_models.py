"""Simulated models: replies repeat, the committee's prompts are understood, and the set rates of faults come out."""

import asyncio
import json
import random
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from json_repair import repair_json
from pydantic import ValidationError

from gra.errors import ConfigError, ServerError
from gra.models.base import Request
from gra.models.pool import check_pool
from gra.simulation.backend import connect
from gra.simulation.faults import count_tokens, cut
from gra.simulation.models import MODELS, SMALL, answer
from gra.simulation.profiles import PROFILES
from gra.simulation.world import SKILLS, draw, final_answer, judge, parse, say, skills_of
from gra.synthesis.committee.records import DIMENSIONS, DOMAINS, Record, Review
from gra.synthesis.prompts import STEPS, render, style
from gra.synthesis.prompts.schemas import FORMS
from gra.synthesis.replies.reading import kind_of, read


def ask(model, step, seed, **values):
    """The reply's text, and for JSON steps the validated form (None where it is unusable)."""
    text = answer(Request(model, render(step, "classic", **values), 0.7, 0.95, 1024, seed)).text
    if step not in FORMS:
        return text
    try:
        return FORMS[step].model_validate(
            repair_json(text[text.find("{") :] if "{" in text else text, return_objects=True)
        )
    except ValidationError:
        return None


def record(instance):
    skill = instance.skill
    return Record(
        "r", instance.text, say(instance.answer, instance.opening), skill.domain, instance.keywords, instance.summary
    )


def proposals(model, n, seed=0):
    """(domain, instruction, response) of a model that is shown two records, as the generator's steps make them."""
    rng = random.Random(seed)
    for number in range(n):
        domain = DOMAINS[number % len(DOMAINS)]
        records = [record(draw(rng.choice(skills_of(domain)), rng, (0, 1))) for _ in range(2)]
        words = ask(model, "keywords", number, domain=domain, records=records, show="metadata")
        if words is None:
            continue
        written = ask(
            model, "instruction", number, domain=domain, keywords=words.keywords, records=records, show="metadata"
        )
        if written is not None:
            yield domain, written.instruction, ask(model, "respond", number, instruction=written.instruction)


@pytest.fixture(scope="module")
def proposed():
    return {model: list(proposals(model, 1400)) for model in MODELS}


def test_wrong_answers_come_at_the_rates_stated(proposed):
    share = {}
    for model, samples in proposed.items():
        verdicts = Counter(judge(instruction, response) for _, instruction, response in samples)
        share[model] = verdicts[False] / (verdicts[False] + verdicts[True])
        flawed = verdicts[None] / len(samples)
        assert PROFILES[model].flawed * 0.5 < flawed < PROFILES[model].flawed * 1.6 + 0.01
    small = sum(share[model] for model in SMALL) / len(SMALL)
    assert 0.20 < small < 0.35
    assert all(0.15 < share[model] < 0.42 for model in SMALL), share
    assert 0.06 < share["slm-large"] < 0.13


def test_generators_never_ask_a_held_out_question(proposed):
    for samples in proposed.values():
        for _, instruction, _ in samples:
            instance = parse(instruction)
            assert instance is None or instance.answer is None or not instance.held_out


def test_generators_stay_in_the_domain_and_the_large_one_is_less_diverse(proposed):
    distinct, skills = {}, {}
    for model, samples in proposed.items():
        known = [(domain, parse(instruction)) for domain, instruction, _ in samples]
        inside = [domain == instance.skill.domain for domain, instance in known if instance]
        assert all(inside)
        distinct[model] = len({instruction for _, instruction, _ in samples}) / len(samples)
        skills[model] = {instance.name for _, instance in known if instance}
    assert distinct["slm-large"] < min(distinct[model] for model in SMALL)
    assert len(skills["slm-large"]) < min(len(skills[model]) for model in SMALL)
    assert set().union(*skills.values()) == set(SKILLS)


def test_mistakes_are_systematic():
    rng = random.Random(0)
    same = total = 0
    for number in range(600):
        instance = draw(rng.choice(list(SKILLS.values())), rng, range(6))
        replies = [ask("slm-d", "respond", 10_000 * seed + number, instruction=instance.text) for seed in (1, 2)]
        given = [final_answer(reply) for reply in replies]
        if None not in given and not instance.is_right(replies[0]):
            same += given[0] == given[1]
            total += 1
    assert total > 100
    assert 0.75 < same / total < 1  # the others are slips


def test_reviewers_tell_right_from_wrong_but_are_fooled_at_times():
    rng = random.Random(3)
    score = {True: [], False: []}
    unusable = n = 0
    for number in range(1500):
        instance = draw(rng.choice(list(SKILLS.values())), rng, range(6))
        other = draw(instance.skill, rng, range(6))
        response = say(str((instance if number % 2 else other).answer), instance.opening)
        review = ask(SMALL[number % 5], "review", number, instruction=instance.text, response=response)
        n += 1
        unusable += review is None
        if review is not None:
            score[bool(judge(instance.text, response))].append(sum(getattr(review, d) for d in DIMENSIONS) / 6)
    right, wrong = (sum(x >= 8 for x in score[truth]) / len(score[truth]) for truth in (True, False))
    assert 0.6 < right < 0.95
    assert 0.05 < wrong < 0.45
    assert 0.01 < unusable / n < 0.12


def test_instruction_checks_catch_flaws_and_raise_some_false_alarms():
    passes = Counter()
    for number in range(1500):
        sound = number % 2 == 0
        text = "What is the opposite of hot?" if sound else "What is the opposite of the one above?"
        check = ask(SMALL[number % 5], "check", number, instruction=text)
        if check is not None:
            passes[sound, check.reasonableness and check.completeness and check.clarity] += 1
    assert 0.01 < passes[True, False] / (passes[True, False] + passes[True, True]) < 0.08
    assert 0.7 < passes[False, False] / (passes[False, False] + passes[False, True]) < 0.95


def test_adjudicators_see_the_reviews():
    instruction, wrong = "What is 17 + 25?", "The answer is 32."
    reviews = {c: Review("m", dict.fromkeys(DIMENSIONS, c), "s", "w") for c in (1, 10)}
    kept = Counter()
    for c, review in reviews.items():
        for number in range(300):
            verdict = ask("slm-b", "adjudicate", number, instruction=instruction, response=wrong, reviews=[review] * 3)
            kept[c] += verdict is not None and sum(getattr(verdict, d) for d in DIMENSIONS) / 6 >= 8
    assert kept[10] > kept[1] + 50


def test_annotations_fit_the_record():
    rng, right, n = random.Random(5), 0, 0
    for number in range(300):
        instance = draw(rng.choice(list(SKILLS.values())), rng, range(6))
        values = {"instruction": instance.text, "response": "The answer is 1."}
        seed = ask("slm-a", "annotate_seed", number, domains=DOMAINS, **values)
        if seed is not None:
            n += 1
            right += seed.domain == instance.skill.domain
            assert any(word in instance.skill.topics for word in seed.keywords)
        kept = ask("slm-a", "annotate", number, domain="coding", keywords=list(instance.skill.topics[:3]), **values)
        assert kept is None or kept.keywords == list(instance.skill.topics[:3])
    assert 0.9 < right / n < 1


def test_real_seeds_get_filler_that_fits_the_forms():
    words = ("atom", "physics", "matter")
    foreign = Record("r", "Describe the structure of an atom.", "An atom is small.", "reasoning", words, "Atoms.")
    steps = {
        "annotate_seed": {"domains": DOMAINS, "instruction": foreign.instruction, "response": foreign.response},
        "keywords": {"domain": "astrology", "records": [foreign, foreign], "show": "full"},
        "instruction": {"domain": "astrology", "keywords": ["a", "b", "c"], "records": [foreign], "show": "full"},
        "check": {"instruction": foreign.instruction},
        "review": {"instruction": foreign.instruction, "response": foreign.response},
        "annotate": {"domain": "x", "keywords": ["a"], "instruction": foreign.instruction, "response": "y"},
    }
    for step, values in steps.items():
        usable = sum(ask(model, step, number, **values) is not None for number in range(20) for model in SMALL)
        assert usable > 80, step
    assert ask("slm-c", "respond", 1, instruction=foreign.instruction)


texts = st.text(max_size=200)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(MODELS), texts, texts, st.integers(-(2**40), 2**40), st.integers(1, 50))
def test_any_request_has_one_reply(model, system, user, seed, limit):
    task = f"# Task: review a response\n{user}" if seed % 2 else user
    messages = ({"role": "system", "content": system}, {"role": "user", "content": task})
    first, again = (answer(Request(model, messages, 0.7, 0.9, limit, seed), 3) for _ in range(2))
    assert first == again
    assert first.tokens_out is not None
    assert first.tokens_out <= limit
    assert first.tokens_out == count_tokens(first.text)


def test_replies_depend_on_seed_and_world_seed_but_not_on_the_schema():
    def text(seed, world, schema=None):
        messages = render("review", "classic", instruction="What is 17 + 25?", response="The answer is 42.")
        return answer(Request("slm-c", messages, 0.7, 0.9, 512, seed, "review", schema), world).text

    assert len({text(seed, 0) for seed in range(20)}) > 5
    assert any(text(seed, 0) != text(seed, 1) for seed in range(5))
    assert all(text(seed, 0) == text(seed, 0, {"type": "object"}) for seed in range(5))


def test_long_replies_are_cut_at_max_tokens():
    assert cut("one two three", 2) == ("one two", True)
    assert cut("one two", 2) == ("one two", False)
    reply = answer(Request("slm-a", render("respond", "classic", instruction="What is 1 + 1?"), 0, 1, 2, 0))
    assert reply.finish == "length"
    assert reply.tokens_out == 2


def pool(**changes):
    return {"_target_": "gra.simulation.backend.connect", "models": ["slm-a", "slm-b"], "world_seed": 0} | changes


def test_the_backend_answers_as_the_model_does_under_any_name():
    async def chat(model, **changes):
        async with connect(pool(**changes), {"latency": 0.001, "concurrency": 4}) as backend:
            assert backend.simulated
            return await backend.chat(
                Request(model, render("respond", "classic", instruction="What is 1 + 1?"), 0, 1, 99, 7)
            )

    plain = asyncio.run(chat("slm-a"))
    assert plain == asyncio.run(chat("A", models=[{"name": "A", "model": "slm-a"}]))
    assert plain == answer(Request("slm-a", render("respond", "classic", instruction="What is 1 + 1?"), 0, 1, 99, 7))
    with pytest.raises(ServerError, match="slm-z"):
        asyncio.run(chat("slm-z"))


def test_a_wrong_pool_is_refused_with_all_its_faults():
    assert check_pool(pool(), {}) == []
    with pytest.raises(ConfigError) as caught:
        connect(pool(models=["slm-a", "slm-q"], simulated=False), {"latency": -1})
    assert {problem.key for problem in caught.value.problems} == {"pool.models", "pool.simulated", "runtime.latency"}
    assert [problem.key for problem in check_pool(pool(wrold_seed=1), {})] == ["pool.wrold_seed"]


def turns_of(step, domain, seed):
    """What a prompt of the second edition is made of, with records of the world."""
    rng = random.Random(seed)
    shown = [record(draw(rng.choice(skills_of(domain)), rng, (0, 1))) for _ in range(3)]
    about = record(draw(rng.choice(skills_of(domain)), rng, (0, 1)))
    values = {
        "domain": domain,
        "records": shown[:2],
        "demonstrations": shown,
        "show": "metadata",
        "taken": (),
        "solve": True,
    }
    values |= {"topics": [shown[0].keywords[0], shown[1].keywords[1]], "keywords": about.keywords, "domains": DOMAINS}
    values |= {"instruction": about.instruction, "response": about.response}
    return values | (
        {"reviews": [Review("slm-b", dict.fromkeys(DIMENSIONS, 7), "a", "b")]} if step == "adjudicate" else {}
    )


@pytest.mark.parametrize("step", STEPS)
def test_prompts_of_the_second_edition_are_answered_in_their_form(step):
    """All but what its profile breaks is of use, and about what was asked."""
    usable, told = 0, Counter()
    for number in range(210):
        domain = DOMAINS[number % len(DOMAINS)]
        values = turns_of(step, domain, number)
        messages = render(step, "turns", **values)
        reply = answer(Request("slm-d", messages, 0.7, 0.95, 1024, number))
        found = read(step, reply, prompt=messages, values=values, style=style(step, "turns"))
        usable += found.fault is None
        told[kind_of(found.fault) if found.fault else "usable"] += 1
        if step == "instruction" and found.fault is None and (instance := parse(found.value.instruction)) is not None:
            assert instance.skill.domain == domain
        if step in ("review", "adjudicate") and found.fault is None:
            assert found.value.own_answer
    assert usable > 170, told


def test_a_model_that_hands_back_its_prompt_is_refused_in_the_second_edition():
    handed_back = 0
    for number in range(600):
        values = turns_of("instruction", DOMAINS[number % 7], number)
        messages = render("instruction", "turns", **values)
        reply = answer(Request("slm-d", messages, 0.7, 0.95, 1024, number))
        if reply.text == messages[-1]["content"]:
            handed_back += 1
            fault = read("instruction", reply, prompt=messages, values=values, style="text").fault
            assert kind_of(fault) == "copies_prompt"
    assert handed_back > 10


def test_it_is_fast():
    pairs = [{"instruction": f"What is {n % 30 + 1} + 25?", "response": f"The answer is {n}."} for n in range(1500)]
    messages = [render("review", "classic", **pair) for pair in pairs]
    start = time.process_time()
    for number, message in enumerate(messages):
        answer(Request("slm-c", message, 0.7, 0.9, 512, number))
    assert len(messages) / (time.process_time() - start) > 3000


def test_broken_json_is_really_unusable_and_sloppy_json_can_be_repaired():
    messages = render("check", "classic", instruction="What is 1 + 1?")
    text = [answer(Request("slm-d", messages, 0, 1, 512, n)).text for n in range(500)]

    def valid(reply):
        try:
            json.loads(reply)
        except ValueError:
            return False
        return True

    plain = sum(map(valid, text)) / len(text)
    assert 0.45 < plain < 0.7  # fenced .20, prefixed .15, sloppy .06, broken .06
    assert any(reply.startswith("```json") for reply in text)
    assert any(reply.startswith("Here is the JSON") for reply in text)
