"""How often models are loaded where they take turns (gra/models/phased.py): PURE, an estimate for `gra plan` and run.json.

Reasoning. With all of a round's samples under way, everything that can be asked of the loaded model is asked before it goes. So
one pass over the models takes every sample at least one *level* further, a level being calls that wait for nothing but each
other: write (keywords and instruction, the same model one after the other) -> check -> respond -> review -> adjudicate. A level
takes as many loads as models have a part in it: all M where roles are random. Unusable replies are asked for again: those of a
single model at once, in the same turn; those of a panel only when the whole panel has answered, which is one more level.
Where roles are random, a pass also serves half of what the next level asks for (of the asker and the asked, either may come
first in the pass), so that two passes do three levels; where they are fixed, each level's models take their turns anew.
Where fewer than a round's proposals can be under way (`concurrency`), they go through in windows, each of which takes its levels.
A round's first window holds what the round should take; what is missing then (rejected, duplicates) comes in a last, small one.
Seeds are annotated before, and each round's kept samples after it: M loads each.

Measured over two rounds with a scripted committee: 45-80 % of the estimate where roles are random, 80-99 % where fixed.
"""

from __future__ import annotations

import math

from gra.synthesis.rounds import allowance
from gra.synthesis.settings import SynthesisSettings


def estimate_swaps(settings: SynthesisSettings, models: int, concurrency: int) -> int:
    """Loads of a whole run with `models` models and at most `concurrency` samples under way at once."""
    if settings.roles == "single":
        return 1
    first = min(allowance(0, 0, settings.samples_per_round), settings.proposal_limit)
    windows = math.ceil(first / concurrency) + (1 if first < settings.proposal_limit else 0)
    levels = loads_by_level(settings, models)
    if settings.roles == "random":
        return models + settings.rounds * (windows * models * math.ceil(len(levels) * 2 / 3) + models)
    return 1 + settings.rounds * (windows * sum(levels) + 1)


def loads_by_level(settings: SynthesisSettings, models: int) -> list[int]:
    """For each level of a proposal, how many models take part in it, over all proposals."""
    spread = settings.roles == "random"
    alone, panel = (models, models) if spread else (1, settings.reviewers)
    if not settings.review:
        return [alone]  # the generator writes all: keywords, instruction and response come in one turn
    again = [panel] if settings.parse_retries else []  # a second retry of the same panel is rare
    levels = [alone, panel, *again, alone, panel, *again]
    return [*levels, alone] if settings.adjudicate else levels
