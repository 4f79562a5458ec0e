"""PURE: estimates how often models are loaded when they take turns (gra/models/time_sharing), for `gra plan` and run.json.

Reasoning. All samples of a round are in flight, so all calls that are due for the loaded model are made before it is unloaded. One
pass over the models therefore takes every sample at least one *level* further. The levels of a proposal are

    write (keywords, then instruction, by the same model) -> check -> respond -> review -> adjudicate

The calls of a level wait only for the level before. A level needs one load of each model that takes part in it: all M
models if roles are random. Unusable replies are retried. If a step calls a single model, this happens at once, in the
same turn. Reviewers are retried only when all of them have answered, which is one more level.

If roles are random, a pass also makes half of the next level's calls, because a sample's model of the next level comes
later in the pass in half of the cases. So two passes complete three levels. If roles are fixed, each level loads its
models again.

If fewer proposals than the round needs can be in flight (`concurrency`), they run in windows, each with all levels. The
first windows of a round hold the proposals that it should need; a last, small window replaces rejected samples and
duplicates.

Seeds are annotated before the rounds, and kept samples after each round. Each of these annotations takes M loads.

Measured over two rounds with a scripted committee, the loads were 45-80 % of the estimate with random roles, and 80-99 % with fixed
ones.
"""

from __future__ import annotations

import math

from gra.synthesis.committee.roles import Candidates, candidates, policy
from gra.synthesis.rounds import allowance
from gra.synthesis.settings import SynthesisSettings


def estimate_loads(settings: SynthesisSettings, models: int, concurrency: int) -> int:
    """Return the model loads of a whole run with `models` models and at most `concurrency` samples in flight."""
    if not policy(settings).distinct and settings.checkers is None:
        return 1
    first = min(allowance(0, 0, settings.samples_per_round), settings.proposal_limit)
    windows = math.ceil(first / concurrency) + (1 if first < settings.proposal_limit else 0)
    levels = loads_by_level(settings, models)
    if len(_able(settings, models).generator) > 1:
        return models + settings.rounds * (windows * models * math.ceil(len(levels) * 2 / 3) + models)
    return 1 + settings.rounds * (windows * sum(levels) + 1)


def loads_by_level(settings: SynthesisSettings, models: int) -> list[int]:
    """Return, for each level of a proposal, how many models take part in it over all proposals."""
    able = _able(settings, models)
    writers, checkers, reviewers = len(able.generator), len(able.checkers), len(able.reviewers)
    if not settings.review:
        return [writers]  # one turn: the generator writes keywords, instruction and response
    levels = []
    for judging in (checkers, reviewers):
        levels += [writers, judging, *([judging] if settings.parse_retries else [])]  # second retries are rare
    return [*levels, writers] if settings.adjudicate else levels


def _able(settings: SynthesisSettings, models: int) -> Candidates:
    return candidates([str(number) for number in range(models)], settings)
