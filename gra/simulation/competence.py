"""Computes the answer that a simulated model believes to be right. The model either solves the question correctly or
follows a wrong rule. Apart from random slips, it always finds the same answer to the same question."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

from gra.simulation.profiles import PROFILES, common_rule_of, error_share, rule_of
from gra.simulation.traits import Traits
from gra.simulation.world import Instance, final_answer, normal, starts_with, unit_hash
from gra.simulation.world.skill import Rule


@dataclass(frozen=True)
class Belief:
    """What a simulated model believes about a question.

    `answer`: the answer that the model believes to be right. `opening`: the words with which a response must begin, as
    the model believes. `rule`: the wrong rule that the model followed. It is None if the model solved the question
    correctly.
    """

    answer: str | None
    opening: str
    rule: Rule | None = None

    def agrees(self, instance: Instance, response: str) -> bool | None:
        """Return whether the simulated model with this belief takes the response for right. Return None if the
        response states no answer, or if the model knows no answer itself."""
        given = final_answer(response)
        if given is None or self.answer is None:
            return None
        if not starts_with(response, self.opening):
            return False
        accepts = instance.skill.accepts if self.rule is None else self.rule.accepts
        return accepts(instance.values, given) if accepts else given == normal(self.answer)


@lru_cache(maxsize=1 << 16)
def errs(model: str, key: str, domain: str, world_seed: int, shared_difficulty: float) -> bool:
    """Return whether a model follows a wrong rule on a question. The same arguments always give the same result. `key`:
    the text that identifies the question. `domain`: the question's domain. `shared_difficulty`: the probability that
    the model uses a difficulty of the question that is the same for all models."""
    shared = unit_hash(world_seed, "follows", model, key) < shared_difficulty
    difficulty = unit_hash(world_seed, "question", key) if shared else unit_hash(world_seed, "own", model, key)
    return difficulty < error_share(model, domain)


@lru_cache(maxsize=1 << 16)
def wrong_rule(model: str, skill: str, key: str, world_seed: int, common: float) -> str | None:
    """Return the name of the wrong rule that a model follows on a question. Return None if the model guesses instead.

    With probability `common`, this is the wrong rule that all models of the pool share for the skill (kind of
    question). Otherwise, it is the model's own wrong rule for the skill. `key`: the text that identifies the question.
    """
    follows = common > 0 and unit_hash(world_seed, "common", model, key) < common
    return common_rule_of(skill) if follows else rule_of(model, skill)


def believe(model: str, instance: Instance, world_seed: int, traits: Traits, rng: random.Random) -> Belief:
    """Return what a model believes about the question `instance`. Sometimes a model slips: it gives a wrong answer to a
    question that it can solve. Only these slips depend on `rng`."""
    slips = rng.random() < PROFILES[model].slip
    if not slips and not errs(model, instance.key, instance.skill.domain, world_seed, traits.shared_difficulty):
        return Belief(instance.answer, instance.opening)
    name = wrong_rule(model, instance.name, instance.key, world_seed, traits.common_rule)
    rule = Rule(lambda *_: _guess(model, instance, world_seed)) if name is None else instance.skill.rules[name]
    if instance.answer is None:  # unsolvable: it makes something up
        return Belief(_guess(model, instance, world_seed), instance.opening, rule)
    return Belief(rule.answer(*instance.values), instance.opening if rule.keeps_opening else "", rule)


def _guess(model: str, instance: Instance, world_seed: int) -> str:
    """The answer of another instance of the skill; the same each time this model gets this question."""
    rng = random.Random(f"{world_seed}/{model}/{instance.key}")
    return str(instance.skill.solve(*instance.skill.draw(rng)))
