"""Simulates generators, which write keywords, instructions and responses, and annotators, which write a sample's
domain, keywords and summary."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable
from functools import cache

from gra.simulation.competence import believe
from gra.simulation.faults import write_text
from gra.simulation.profiles import ALL_FORMS, PROFILES
from gra.simulation.traits import Traits
from gra.simulation.world import (
    SKILL_OF_TOPIC,
    SKILLS,
    Instance,
    Skill,
    draw,
    looks_flawed,
    parse,
    say,
    skills_of,
    unit_hash,
)

WRONG_DOMAIN = 0.03  # probability of a wrong domain for a seed
_FOREIGN_CITY = "Atlantis"


@cache
def repertoire(model: str, domain: str, breadth: float | None) -> tuple[Skill, ...]:
    """Return the subset of a domain's skills (kinds of questions) that a model uses for its tasks. A hash of the
    model's and the skill's names decides which skills these are. `breadth`: the proportion of the domain's skills that
    the model uses. If it is None, the model's profile gives the number of skills."""
    ranked = sorted(skills_of(domain), key=lambda skill: unit_hash("repertoire", model, skill.name))
    return tuple(ranked[: PROFILES[model].skills if breadth is None else math.ceil(breadth * len(ranked))])


@cache
def wordings(model: str, breadth: float | None) -> tuple[int, ...]:
    """Return the indices of the wordings (question templates) that a model uses. `breadth`: the proportion of all
    wordings that the model uses. If it is None, the model's profile says which wordings it uses."""
    if breadth is None:
        return PROFILES[model].forms
    ranked = sorted(ALL_FORMS, key=lambda form: unit_hash("wordings", model, form))
    return tuple(sorted(ranked[: math.ceil(breadth * len(ranked))]))


def skill_in(phrases: Iterable[str]) -> Skill | None:
    """Return the skill (kind of question) to whose keywords one of the `phrases` belongs. Return None if there is no
    such skill. If phrases are keywords of different skills, the first of these phrases counts."""
    for phrase in phrases:
        skill = SKILL_OF_TOPIC.get(phrase.strip().lower())
        if skill:
            return skill
    return None


def keywords(model: str, domain: str, shown: list[list[str]], traits: Traits, rng: random.Random) -> list[str]:
    """Return three keywords for a new task, all of one skill (kind of question). The model chooses either the skill of
    a record that the prompt shows, or any skill of the domain for which the model can write tasks.

    `shown`: the keywords of each record that the prompt shows. If the domain does not belong to the simulated world,
    the result is taken from these keywords.
    """
    known = repertoire(model, domain, traits.breadth)
    named = [skill for skill in map(skill_in, shown) if skill is not None]
    from_records = [skill for skill in named if skill in known or (traits.takes_up and rng.random() < traits.takes_up)]
    follows = from_records and rng.random() < traits.follows_records
    pool = from_records if follows else list(known)
    if not pool:  # a domain outside this world
        words = list(dict.fromkeys(word for record in shown for word in record))
        return [*rng.sample(words, min(3, len(words))), "a new task", "a clear question", "a short answer"][:3]
    return rng.sample(rng.choice(pool).topics, 3)


def instruction(model: str, domain: str, wanted: list[str], traits: Traits, rng: random.Random) -> str:
    """Return an instruction for the keywords `wanted`, in one of the wordings that the model uses. The instruction asks
    a question of the skill (kind of question) to which the keywords belong. Each model prefers a certain subset of the
    skill's questions. Sometimes the instruction is flawed."""
    profile = PROFILES[model]
    known = repertoire(model, domain, traits.breadth)
    forms = wordings(model, traits.breadth)
    share = profile.instances if traits.breadth is None else traits.breadth
    skill = skill_in(wanted)
    if skill is None and known:
        skill = rng.choice(known)
    if skill is None:
        return f"Write a short note about {' and '.join(wanted) or 'something new'}."

    def comes_to_mind(instance: Instance) -> bool:
        return unit_hash("mind", model, instance.key) < share

    instance = draw(skill, rng, forms, accept=comes_to_mind) or draw(skill, rng, forms)
    if instance is None:
        return f"Write a short note about {' and '.join(wanted)}."
    return _flaw(instance, rng) if rng.random() < profile.flawed else instance.text


def _flaw(instance: Instance, rng: random.Random) -> str:
    """The instruction with missing, dangling or contradictory data, or about something that does not exist."""
    fields = list(instance.skill.fields)
    if "city" in fields and rng.random() < 0.4:
        return instance.text.replace(instance.values[fields.index("city")], _FOREIGN_CITY)
    number = rng.randrange(len(fields))
    kind = rng.randrange(3)
    if kind == 2:
        return f"{instance.text} Answer it without using any words or numbers."
    values = list(instance.values)
    values[number] = "" if kind == 0 else "the one above"
    return re.sub(r" +", " ", instance.write(tuple(values))).strip()


def respond(model: str, text: str, world_seed: int, traits: Traits, rng: random.Random) -> str:
    """Return the model's response to the instruction `text`, in the model's style. To a flawed instruction, the model
    usually invents an answer."""
    profile = PROFILES[model]
    instance = parse(text)
    if instance is not None:
        belief = believe(model, instance, world_seed, traits, rng)
        answer = say(str(belief.answer), belief.opening, profile.preface)
    elif (skill := looks_flawed(text)) is not None:
        if rng.random() < 0.2:
            return "Some of the data that is needed to answer this is missing."
        answer = say(str(skill.solve(*skill.draw(rng))), "", profile.preface)
    else:
        topic = " ".join(text.split()[:12])
        answer = f"{profile.preface}This is about the following: {topic}. A short and simple answer can be given in one line."
    return write_text(profile, answer, rng)


def annotation(text: str, given: list[str], traits: Traits, rng: random.Random) -> tuple[str, list[str], str]:
    """Return the domain, three keywords and a one-line summary that an annotator writes for the instruction `text`.
    `given`: the keywords that the prompt shows. The annotator keeps those that belong to the instruction's skill."""
    instance = parse(text)
    skill = instance.skill if instance else looks_flawed(text)
    if traits.annotator_errors and skill is not None and rng.random() < traits.annotator_errors:
        other = rng.choice([one for one in SKILLS.values() if one is not skill])
        return other.domain, list(other.topics[:3]), f"A task of {other.topics[0]}."
    if skill is None:
        words = sorted(set(re.findall(r"[A-Za-z]{4,20}", text.lower())), key=lambda w: (-len(w), w))
        topics = [*given, *words, "general", "question", "short text"][:3]
        return "question answering", topics, f"A task about {topics[0]}, {topics[1]} and {topics[2]}."
    domain = skill.domain
    if rng.random() < WRONG_DOMAIN:
        domain = rng.choice([s.domain for s in SKILLS.values()])
    own = [word for word in given if SKILL_OF_TOPIC.get(word) is skill]
    fresh = instance.keywords if instance else skill.topics[:3]
    words = list(dict.fromkeys([*own, *fresh, *skill.topics]))
    return domain, words[:3], instance.summary if instance else f"A task of {skill.topics[0]} with incomplete data."
