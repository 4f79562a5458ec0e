"""PURE: estimates how often models are loaded if only one can be loaded at a time (gra/models/time_sharing), for `gra
plan` and run.json.

Assume first that all samples of a round are in flight at once. A loaded model answers all calls that wait for it. When
each model was loaded once (one pass), every sample has completed at least one more *level*. The levels of a proposal
are

    write (keywords, then instruction, by the same model) -> check -> respond -> review -> adjudicate

The calls of a level wait only for the level before. A level needs one load of each model that takes part in it; if
roles are random, these are all models (M below). Unusable replies are retried. If only one model answers the calls of a
step, it is still loaded for the retry, so the retry needs no further load. Checks and reviews are retried only after
all reviewers of the sample have answered, so their retries count as one more level.

If roles are random, a pass also makes half of the next level's calls: for half of the samples, the model that the next
level needs is loaded later in the same pass. So two passes complete three levels. If roles are fixed, each level loads
its models again.

In general, `concurrency` limits the samples in flight. If it allows fewer proposals in flight than the round needs, the
proposals run in groups (windows), one group after the other. Each window goes through all levels. The first windows of
a round hold the proposals that it is expected to need. One small window follows, for proposals that replace rejected
samples and duplicates.

All seeds are annotated before the first round, and the kept samples of a round after this round. Each annotation takes
one load of each model that annotates: M loads with random roles, one load with fixed roles.

In runs of two rounds with a scripted committee (fixed replies, no real models), the measured loads were 45-80 % of the
estimate with random roles, and 80-99 % with fixed roles.
"""

from __future__ import annotations

import math

from gra.synthesis.committee.roles import Candidates, candidates, policy
from gra.synthesis.rounds import allowance
from gra.synthesis.settings import SynthesisSettings


def estimate_loads(settings: SynthesisSettings, models: int, concurrency: int) -> int:
    """Return how many times a whole run is expected to load a model. `models`: the number of models. `concurrency`: the
    maximum number of samples in flight."""
    if not policy(settings).distinct and settings.checkers is None:
        return 1
    first = min(allowance(0, 0, settings.samples_per_round), settings.proposal_limit)
    windows = math.ceil(first / concurrency) + (1 if first < settings.proposal_limit else 0)
    levels = loads_by_level(settings, models)
    if len(_able(settings, models).generator) > 1:
        return models + settings.rounds * (windows * models * math.ceil(len(levels) * 2 / 3) + models)
    return 1 + settings.rounds * (windows * sum(levels) + 1)


def loads_by_level(settings: SynthesisSettings, models: int) -> list[int]:
    """Return how many different models take part in each level of a proposal, counted over all proposals together. A
    level is a set of calls that wait only for the previous level. In order, the levels are: write, check, respond,
    review, adjudicate. Checks and reviews each have another level for their retries, unless `parse_retries` is 0. If
    nothing is checked or reviewed, there is only one level."""
    able = _able(settings, models)
    writers, checkers, reviewers = len(able.generator), len(able.checkers), len(able.reviewers)
    if not settings.checks_instructions:
        return [writers]  # one turn: the generator writes keywords, instruction and response
    if not settings.review:
        return [writers, checkers, *([checkers] if settings.parse_retries else []), writers]
    levels = []
    for judging in (checkers, reviewers):
        levels += [writers, judging, *([judging] if settings.parse_retries else [])]  # second retries are rare
    return [*levels, writers] if settings.adjudicate else levels


def _able(settings: SynthesisSettings, models: int) -> Candidates:
    return candidates([str(number) for number in range(models)], settings)
