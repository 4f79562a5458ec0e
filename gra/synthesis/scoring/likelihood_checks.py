"""PURE: finds settings with which reviews by likelihood (`synthesis.questions=likelihood`) cannot work, before a run."""

from __future__ import annotations

from collections import defaultdict

from gra.errors import Problem
from gra.models.parsed_pool import ParsedPool
from gra.synthesis.committee.roles import candidates, policy
from gra.synthesis.scoring.probability import SERVE_LIKELIHOOD
from gra.synthesis.settings import SynthesisSettings

KEY = "synthesis.questions"
OVERALL = "set synthesis.questions=overall"
LOW = 5.0  # most likelihoods of real models are lower (benchmarks/README.md)


def problems(settings: SynthesisSettings, pool: ParsedPool) -> list[Problem]:
    """Return the faults of `synthesis.questions=likelihood`. There are none if another value is set."""
    if settings.questions != "likelihood" or not settings.review:
        return []
    if settings.scoring != "probability":
        return [Problem(KEY, "likelihood needs synthesis.scoring=probability", f"set it, or {OVERALL}")]
    found = []
    if not pool.reads_texts:
        message = "the servers of this pool cannot tell how likely a given text is, which likelihood needs"
        found.append(Problem(KEY, message, SERVE_LIKELIHOOD))
    if not policy(settings).distinct:
        message = (
            f"with synthesis.roles={settings.roles} a model reviews its own responses, which it always finds likely"
        )
        found.append(Problem(KEY, message, f"{OVERALL}, or another synthesis.roles"))
    elif twins := _twins(settings, pool):
        message = f"{' and '.join(twins)} are the same model, which always finds its own responses likely"
        found.append(Problem(KEY, message, f"{OVERALL}, or leave all but one of them out of pool.models"))
    if settings.calibrate == "none" and settings.tau >= LOW and not pool.settings.simulated:
        message = f"most likelihoods are below {LOW:g}, so nearly nothing reaches synthesis.tau={settings.tau:g}"
        found.append(Problem("synthesis.calibrate", message, "set it to probe, or set a lower synthesis.tau"))
    return found


def _twins(settings: SynthesisSettings, pool: ParsedPool) -> list[str]:
    """Return the names of some models that have the same weights, of which one can generate and another
    can judge. Return [] if there are none."""
    able = candidates(pool.names, settings)
    judges = {*able.reviewers, *able.adjudicator}
    same = defaultdict(list)
    for name in pool.names:
        same[pool.weights_of(name)].append(name)
    for names in same.values():
        if len(names) > 1 and judges & set(names) and set(able.generator) & set(names):
            return names
    return []
