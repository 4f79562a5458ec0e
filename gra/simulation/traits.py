"""The settings `pool.traits`, which apply to all simulated models of a pool: how alike their mistakes are, how they
review, and which tasks they propose.

If a key is null, each model uses the number in its profile (gra/simulation/profiles.py). `python -m
gra.simulation.likeness` measures the effect of a setting, and tests/simulation/test_traits.py checks it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import yaml
from pydantic import Field

from gra.settings import Settings, parse

# How often two small models that both answer a question wrongly give the same answer. OWN_AGREEMENT: each model follows
# its own wrong rule (profiles.RULES). OWN_WITH_COMMON: one model follows its own rule, and the other the skill's common
# rule. Measured (gra/simulation/likeness.py).
OWN_AGREEMENT = 0.225
OWN_WITH_COMMON = 0.5


class Traits(Settings):
    """What all models of a simulated pool have in common, e.g. how alike their mistakes are. If a key is null, each
    model uses the number in its profile (gra/simulation/profiles.py)."""

    greedy_repeats: bool = Field(
        False,
        description="At temperature 0 a prompt has one reply, regardless of the request's seed, as with real models.",
    )
    error_correlation: float = Field(
        0.1225,
        ge=0,
        le=1,
        description="Correlation (phi) of what two equally able models do not know in a domain: hard for one, hard for all. Phi of "
        "their answers is about three quarters of it: models also slip, and a wrong rule can give a right answer.",
    )
    wrong_agreement: float | None = Field(
        None,
        ge=OWN_AGREEMENT,
        le=1,
        description="Share of questions that two models both answer wrongly, on which they give the same answer; null: by the "
        f"rules of their own, {OWN_AGREEMENT}.",
    )
    lazy: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of reviews that trust the response instead of solving it; null: each model's own.",
    )
    halo: float = Field(
        1.0,
        ge=0,
        le=1,
        description="How far a review's finding on correctness moves its five other scores: 1 as in the profiles, 0 not at all.",
    )
    leniency: float = Field(0.0, ge=-5, le=5, description="Points added to every score of every reviewer.")
    breadth: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of each domain's skills, wordings and instances that a model proposes tasks of; 1: all of them; null: "
        "each model's own.",
    )
    follows_records: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of new tasks that stay with a skill of the records shown; 1: all of them, so the skills in the "
        "example records displace the rest.",
    )
    takes_up: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Probability that a model takes up a shown skill outside its own, so the example records widen its range.",
    )
    annotator_errors: float = Field(
        0.0, ge=0, le=1, description="Share of annotations that describe another skill: domain, keywords and summary."
    )

    @property
    def shared_difficulty(self) -> float:
        """The probability with which a model uses a question's shared difficulty, which is the same for all models.

        Otherwise, the model uses a difficulty of its own for the question. The probability that two models both use
        the shared difficulty is the square of this value. The setting `error_correlation` gives this square.
        """
        return math.sqrt(self.error_correlation)

    @property
    def common_rule(self) -> float:
        """The probability that a model which answers a question wrongly follows the wrong rule that all models share.
        Otherwise, the model follows its own wrong rule for the skill. The probability is computed from the setting
        `wrong_agreement`."""
        if self.wrong_agreement is None:
            return 0.0
        # q: the share to return. Agreement is q^2 + 2 q (1 - q) OWN_WITH_COMMON + (1 - q)^2 OWN_AGREEMENT
        a, b = 1 - 2 * OWN_WITH_COMMON + OWN_AGREEMENT, OWN_WITH_COMMON - OWN_AGREEMENT
        return (math.sqrt(b * b + a * (self.wrong_agreement - OWN_AGREEMENT)) - b) / a


def from_words(words: Sequence[str]) -> Traits:
    """Parse command-line arguments of the form KEY=VALUE into traits. Raises ValueError if a key or a value is faulty.
    The error message names each faulty key and says what is wrong with it."""
    read = {key: yaml.safe_load(value) for key, _, value in (word.partition("=") for word in words)}
    found, faults = parse(Traits, read, "traits")
    if found is None:
        raise ValueError("; ".join(f"{fault.key}: {fault.message}" for fault in faults))
    return found


OWN = Traits()
