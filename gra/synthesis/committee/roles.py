"""PURE: assigns the roles of generator, reviewers, adjudicator and annotator to models. In the paper, they are drawn
again for each sample.

How the roles are assigned is called a policy. A new policy needs an entry in POLICIES, and its name among the values of
`SynthesisSettings.roles`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gra.synthesis.committee.records import Roles
from gra.synthesis.settings import SynthesisSettings


@dataclass(frozen=True)
class Candidates:
    """The models that can have each role. Over all samples, a role goes equally often to each model listed for it.
    `adjudicator` is empty if the synthesis has no adjudicator. `checkers`: the models that check instructions."""

    generator: tuple[str, ...]
    reviewers: tuple[str, ...]
    adjudicator: tuple[str, ...]
    annotator: tuple[str, ...]
    checkers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Policy:
    """A way to assign roles to models.

    `draw`: returns the roles of one sample. Before calling it, check that the pool has enough models. `candidates`:
    returns the models that can have each role. `distinct`: whether generator, reviewers and adjudicator of a sample are
    different models.
    """

    draw: Callable[[Sequence[str], SynthesisSettings, random.Random], Roles]
    candidates: Callable[[Sequence[str], SynthesisSettings], Candidates]
    distinct: bool = True


def _draw_random(models: Sequence[str], settings: SynthesisSettings, rng: random.Random) -> Roles:
    order = list(models)
    rng.shuffle(order)
    return _in_order(order, settings, rng.choice(list(models)))


def _all_of_them(models: Sequence[str], settings: SynthesisSettings) -> Candidates:
    every = tuple(models)
    return Candidates(every, every if settings.review else (), every if _adjudicates(settings) else (), every)


def _draw_fixed(models: Sequence[str], settings: SynthesisSettings, rng: random.Random) -> Roles:  # noqa: ARG001
    return _in_order(models, settings, models[0])


def _by_place(models: Sequence[str], settings: SynthesisSettings) -> Candidates:
    last = 1 + _reviewers(settings)
    adjudicator = tuple(models[last : last + 1]) if _adjudicates(settings) else ()
    return Candidates(tuple(models[:1]), tuple(models[1:last]), adjudicator, tuple(models[:1]))


def _draw_single(models: Sequence[str], settings: SynthesisSettings, rng: random.Random) -> Roles:  # noqa: ARG001
    model = _only(models, settings)
    return Roles(model, (model,) * _reviewers(settings), model if _adjudicates(settings) else None, model)


def _one_model(models: Sequence[str], settings: SynthesisSettings) -> Candidates:
    one = (_only(models, settings),)
    return Candidates(one, one if settings.review else (), one if _adjudicates(settings) else (), one)


def _draw_others(models: Sequence[str], settings: SynthesisSettings, rng: random.Random) -> Roles:
    generator = _only(models, settings)
    others = [model for model in models if model != generator]
    rng.shuffle(others)
    return _in_order([generator, *others], settings, generator)


def _one_writes(models: Sequence[str], settings: SynthesisSettings) -> Candidates:
    generator = _only(models, settings)
    others = tuple(model for model in models if model != generator)
    judges = others if settings.review else ()
    return Candidates((generator,), judges, others if _adjudicates(settings) else (), (generator,))


POLICIES = {
    "random": Policy(_draw_random, _all_of_them),  # generator, reviewers and adjudicator drawn without replacement
    "fixed": Policy(
        _draw_fixed, _by_place
    ),  # by the pool's order: generator, reviewers, adjudicator; the generator annotates
    "single": Policy(
        _draw_single, _one_model, distinct=False
    ),  # one model has all roles; each review is a separate call
    "one_generator": Policy(
        _draw_others, _one_writes
    ),  # one model generates and annotates; reviewers and adjudicator are drawn from the others, without replacement
}


def policy(settings: SynthesisSettings) -> Policy:
    """Return the policy that `synthesis.roles` names."""
    return POLICIES[settings.roles]


def candidates(models: Sequence[str], settings: SynthesisSettings) -> Candidates:
    """Return the models that can have each role. `models`: all models of the pool."""
    found = policy(settings).candidates(models, settings)
    return replace(found, checkers=found.reviewers if settings.checkers is None else checkers(settings))


def checkers(settings: SynthesisSettings) -> tuple[str, ...]:
    """Return the models that `synthesis.checkers` names. Empty if this key is null."""
    return tuple(settings.checkers or ())


def assign(models: Sequence[str], settings: SynthesisSettings, rng: random.Random) -> Roles:
    """Return the roles of one sample. Raises ValueError if there are fewer models than the sample needs
    (`models_needed`)."""
    if len(models) < models_needed(settings):
        raise ValueError(f"{len(models)} models cannot fill {models_needed(settings)} roles")
    return policy(settings).draw(models, settings, rng)


def models_needed(settings: SynthesisSettings) -> int:
    """Return the number of different models that one sample needs."""
    return 1 + _reviewers(settings) + (1 if _adjudicates(settings) else 0) if policy(settings).distinct else 1


def judges(models: Sequence[str], settings: SynthesisSettings) -> list[str]:
    """Return the models that can review or adjudicate, in the pool's order."""
    found = candidates(models, settings)
    return [model for model in models if model in (*found.reviewers, *found.adjudicator)]


def asked_yes_no(models: Sequence[str], settings: SynthesisSettings) -> list[str]:
    """Return the models that judge with one token, Yes or No, in the pool's order. With
    `synthesis.scoring=probability`, these are the models that review or adjudicate; with
    `synthesis.check_scoring=probability`, those that check instructions. If the latter key is null, the former
    decides for both."""
    asked = {*(judges(models, settings) if settings.scoring == "probability" else ())}
    if settings.checks_by_probability:
        asked |= {*candidates(models, settings).checkers}
    return [model for model in models if model in asked]


def _in_order(order: Sequence[str], settings: SynthesisSettings, annotator: str) -> Roles:
    count = _reviewers(settings)
    return Roles(order[0], tuple(order[1 : 1 + count]), order[1 + count] if _adjudicates(settings) else None, annotator)


def _only(models: Sequence[str], settings: SynthesisSettings) -> str:
    return settings.single_model or models[0]


def _reviewers(settings: SynthesisSettings) -> int:
    return settings.reviewers if settings.review else 0


def _adjudicates(settings: SynthesisSettings) -> bool:
    return settings.review and settings.adjudicate
