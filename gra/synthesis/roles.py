"""Who generates, who reviews, who adjudicates, who annotates (paper: roles are drawn anew for each sample). Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence

from gra.synthesis.records import Roles
from gra.synthesis.settings import SynthesisSettings


def assign(models: Sequence[str], settings: SynthesisSettings, rng: random.Random) -> Roles:
    """Roles for one sample.

    random: generator uniformly from the pool, reviewers from the rest, adjudicator from what is left; the annotator from
    the whole pool. fixed: the pool's order is generator, reviewers, adjudicator; the generator annotates. single: one
    model does everything (its reviews are separate calls). Raises ValueError where the pool is too small.
    """
    count = settings.reviewers if settings.review else 0
    if settings.roles == "single":
        model = settings.single_model or models[0]
        return Roles(model, (model,) * count, model if _adjudicates(settings) else None, model)
    if len(models) < models_needed(settings):
        raise ValueError(f"{len(models)} models cannot fill {models_needed(settings)} roles")
    order = list(models)
    if settings.roles == "random":
        rng.shuffle(order)
    adjudicator = order[1 + count] if _adjudicates(settings) else None
    annotator = rng.choice(list(models)) if settings.roles == "random" else order[0]
    return Roles(order[0], tuple(order[1 : 1 + count]), adjudicator, annotator)


def models_needed(settings: SynthesisSettings) -> int:
    """How many different models the roles of one sample take."""
    if settings.roles == "single":
        return 1
    return 1 + (settings.reviewers if settings.review else 0) + (1 if _adjudicates(settings) else 0)


def judges(models: Sequence[str], settings: SynthesisSettings) -> list[str]:
    """The models that review or adjudicate some sample of the run, in the pool's order."""
    if not settings.review:
        return []
    if settings.roles == "single":
        return [settings.single_model or models[0]]
    return list(models[1 : models_needed(settings)]) if settings.roles == "fixed" else list(models)


def _adjudicates(settings: SynthesisSettings) -> bool:
    return settings.review and settings.adjudicate
