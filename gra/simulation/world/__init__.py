"""The closed world: 25 checkable skills in seven domains, with texts that can be parsed and answers that are known.

A fifth of the instances (questions) is held out for benchmarks. A hash of the instance without its wording decides
which. Seeds, tokenizer corpus and simulated generators call `draw` with `held_out=False`, which never returns a
held-out instance; benchmarks use only held-out instances. Instances that ask the same question (3 + 4 and 4 + 3) are
held out together or not at all. For skills that need knowledge (cities, opposites), pairs of a fact and a wording are
held out instead, because no model can know a fact that it never saw.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import lru_cache

from gra.simulation.world import coding, creation, language, mathematics, questions, reasoning, roleplay
from gra.simulation.world.skill import SEED_FORMS, Instance, Skill, final_answer, normal, say, starts_with, unit_hash
from gra.simulation.world.vocabulary import DRESS

__all__ = [
    "SEED_FORMS",
    "SKILLS",
    "SKILL_OF_TOPIC",
    "Instance",
    "Skill",
    "draw",
    "final_answer",
    "judge",
    "looks_flawed",
    "normal",
    "parse",
    "say",
    "skills_of",
    "starts_with",
    "unit_hash",
]

SKILLS: dict[str, Skill] = {
    skill.name: skill
    for module in (coding, mathematics, questions, reasoning, roleplay, language, creation)
    for skill in module.SKILLS
}
SKILL_OF_TOPIC: dict[str, Skill] = {topic: skill for skill in SKILLS.values() for topic in skill.topics}


def skills_of(domain: str) -> tuple[Skill, ...]:
    """The skills of a domain, in their fixed order."""
    return tuple(skill for skill in SKILLS.values() if skill.domain == domain)


@lru_cache(maxsize=1 << 16)
def parse(instruction: str) -> Instance | None:
    """Return the instance that an instruction states; None if the instruction matches no wording of the world. The
    instance may be unsolvable, and then has no answer."""
    text = " ".join(instruction.split())
    if len(text) > 300:  # no wording is that long
        return None
    for skill in SKILLS.values():
        for form, pattern in enumerate(skill.patterns):
            found = pattern.fullmatch(text)
            if found:
                values, dress = (tuple(found[name] for name in slots) for slots in (skill.fields, skill.dresses[form]))
                return Instance(skill, skill.name, form, values, dress)
    return None


@lru_cache(maxsize=1 << 14)
def looks_flawed(instruction: str) -> Skill | None:
    """Return the skill of a flawed instruction: the instruction uses the skill's wording, but is not a complete,
    solvable instance of the skill. None if the instruction is sound, or uses the wording of no skill."""
    instance = parse(instruction)
    if instance is not None:
        return instance.skill if instance.answer is None else None
    return next((skill for skill in SKILLS.values() if any(part in instruction for part in skill.literals)), None)


def draw(
    skill: Skill,
    rng: random.Random,
    forms: Sequence[int],
    held_out: bool = False,
    accept: Callable[[Instance], bool] | None = None,
    attempts: int = 200,
) -> Instance | None:
    """Return a random instance that has one of the wordings `forms`, is held out if `held_out` is true and is not
    otherwise, and is accepted by `accept`. None if `attempts` draws find none."""
    for _ in range(attempts):
        form = rng.choice(forms)
        dress = tuple(rng.choice(DRESS[slot]) for slot in skill.dresses[form])
        instance = Instance(skill, skill.name, form, skill.draw(rng), dress)
        if instance.held_out == held_out and (accept is None or accept(instance)):
            return instance
    return None


def judge(instruction: str, response: str) -> bool | None:
    """Whether a response is right; None if the instruction has no skill or no answer."""
    instance = parse(instruction)
    return None if instance is None or instance.answer is None else instance.is_right(response)
