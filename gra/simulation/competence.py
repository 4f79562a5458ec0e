"""Computes the answer that a simulated model takes for right. To find it, the model follows either the right procedure
or a wrong rule. Apart from random slips, it finds the same answer whenever it gets the same question."""

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
    """What a model takes for right: the answer to a question, the words with which it expects a response to begin
    (`opening`), and the wrong rule that it followed, if any."""

    answer: str | None
    opening: str
    rule: Rule | None = None

    def agrees(self, instance: Instance, response: str) -> bool | None:
        """Whether a response looks right to a model with this belief; None if the response or the belief has no
        answer."""
        given = final_answer(response)
        if given is None or self.answer is None:
            return None
        if not starts_with(response, self.opening):
            return False
        accepts = instance.skill.accepts if self.rule is None else self.rule.accepts
        return accepts(instance.values, given) if accepts else given == normal(self.answer)


@lru_cache(maxsize=1 << 16)
def errs(model: str, key: str, domain: str, world_seed: int, shared_difficulty: float) -> bool:
    """Whether the model follows a wrong rule on this question. The result depends only on the arguments. `key`:
    identifies the question; `shared_difficulty`: see `Traits.shared_difficulty`."""
    shared = unit_hash(world_seed, "follows", model, key) < shared_difficulty
    difficulty = unit_hash(world_seed, "question", key) if shared else unit_hash(world_seed, "own", model, key)
    return difficulty < error_share(model, domain)


@lru_cache(maxsize=1 << 16)
def wrong_rule(model: str, skill: str, key: str, world_seed: int, common: float) -> str | None:
    """Return the name of the wrong rule that the model follows on this question; None if it guesses. With probability
    `common`, this is the skill's common rule, which the models share; otherwise it is the model's own rule."""
    follows = common > 0 and unit_hash(world_seed, "common", model, key) < common
    return common_rule_of(skill) if follows else rule_of(model, skill)


def believe(model: str, instance: Instance, world_seed: int, traits: Traits, rng: random.Random) -> Belief:
    """Return the answer that a model takes for right on an instance. `rng` decides only whether the model slips this
    time."""
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
