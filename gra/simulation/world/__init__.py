"""The simulated world: 25 skills in seven domains. Every question of a skill can be parsed from its text, and its right
answer is known.

A fifth of the questions is held out for benchmarks; a hash of the question decides which. Benchmarks contain only
held-out questions. Seeds, tokenizer text and simulated generators never use these: they call `draw` with
`held_out=False`. A question is held out in all of its wordings, and questions that are the same (3 + 4 and 4 + 3) are
held out together.

Skills that need knowledge (cities, opposites) are different, because no model can know a fact that it never saw. For
them, a fact is held out only in some of its wordings.
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
    """Return the skills of a domain, in a fixed order."""
    return tuple(skill for skill in SKILLS.values() if skill.domain == domain)


@lru_cache(maxsize=1 << 16)
def parse(instruction: str) -> Instance | None:
    """Return the question (an `Instance`) that an instruction asks. Return None if the instruction matches none of the
    question templates of the simulated world. If the question cannot be solved, its `answer` is None."""
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
    """Return the skill (kind of question) to which a flawed instruction belongs. None if the instruction is not flawed.

    Each skill has several wordings, which are question templates. An instruction is flawed if it contains a phrase of
    a skill's wordings, but is not a complete and solvable question of this skill. Without such a phrase, it does not
    count as flawed.
    """
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
    """Return a random question of a skill that meets the conditions below. Return None if `attempts` attempts give no
    such question.

    `forms`: indices of the skill's question templates. The question is written with one of these templates. `held_out`:
    true for a question of the benchmarks, false for any other question. `accept`: a function that must return true for
    the question, or None if there is no such condition.
    """
    for _ in range(attempts):
        form = rng.choice(forms)
        dress = tuple(rng.choice(DRESS[slot]) for slot in skill.dresses[form])
        instance = Instance(skill, skill.name, form, skill.draw(rng), dress)
        if instance.held_out == held_out and (accept is None or accept(instance)):
            return instance
    return None


def judge(instruction: str, response: str) -> bool | None:
    """Return whether a response is right. None if the instruction is not a question of the world, or has no answer."""
    instance = parse(instruction)
    return None if instance is None or instance.answer is None else instance.is_right(response)
