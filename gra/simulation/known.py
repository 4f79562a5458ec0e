"""Finds the seeds that are questions of the simulated world, so that a probe can use them as questions with known
answers (gra/known.py). The world's rules decide whether a response is right.

Config: `probe.sources: [{_target_: gra.simulation.known.source}]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from gra.errors import ConfigError, Problem
from gra.known import AnySeed, Known
from gra.simulation.world import judge, parse, say


def source(settings: dict[str, object], seeds: Sequence[AnySeed]) -> list[Known]:
    """Return those items of `seeds` that are questions of the simulated world, each with its true answer. If a seed's
    own response is wrong, the result contains this response as an example of a wrong answer. Raises ConfigError if
    `settings` is not empty, because this source of questions has no settings."""
    if settings:
        raise ConfigError([Problem("probe.sources", f"unknown keys: {', '.join(settings)}", "leave them out")])
    found = []
    for seed in seeds:
        instance = parse(seed.instruction)
        if instance is None or instance.answer is None:
            continue
        wrong = () if instance.is_right(seed.response) or not seed.response else (seed.response,)
        response = say(str(instance.answer), instance.opening)
        right = partial(judge, seed.instruction)
        found.append(Known(seed.id, seed.instruction, response, instance.skill.domain, right, wrong))
    return found
