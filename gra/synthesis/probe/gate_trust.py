"""PURE: measures the gate (the committee's decision to accept or drop): what proportions of right and of wrong answers
would it accept?

A run draws generator, reviewers and adjudicator for each sample. Here, every committee that a run could draw for an
answer decides on it. Such a committee has the answer's author as generator, and it decides by the scores that its
members gave in the probe. If 60 % of these committees accept the answer, the answer counts as 0.6 accepted. The
adjudicator's decision is taken from its own review of the answer; in a run it also sees the other reviews.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Any

from gra.synthesis.committee.gate import adjudicated_verdict, gate
from gra.synthesis.committee.records import Roles
from gra.synthesis.committee.roles import candidates, policy
from gra.synthesis.probe.auc import Estimate, Floats, share, worth
from gra.synthesis.probe.items import Item
from gra.synthesis.probe.prevalence import Trust, share_right_of_taken
from gra.synthesis.settings import SynthesisSettings

MOST = 200  # maximum committees per answer
Scores = Mapping[str, Any]  # dimension -> score: an integer of a written review, or a float from probabilities
Judged = Mapping[
    str, Mapping[str, Scores | None]
]  # model -> item's id -> its scores by dimension, None: no usable verdict


@dataclass(frozen=True)
class GateTrust:
    """How well the gate (the committee's decision) tells right answers from wrong ones.

    `sens`: the proportion of right answers that the gate accepts. `spec`: the proportion of wrong answers that it
    rejects. `trusted`: the same two proportions, each with the effective number of items on which it was measured.
    `taken`: the proportion of all answers that the gate accepts. `right_of_taken`: the proportion of the accepted
    answers that are right. `on_policy`: whether models of the pool (the models that a run can use) wrote the answers.
    If it is False, the answers are right answers from the data, and wrong answers that a rule made from right ones.
    Such answers are easier to judge, so all these proportions are then optimistic.
    """

    sens: Estimate
    spec: Estimate
    trusted: tuple[Trust, Trust]
    right_of_taken: Estimate | None
    taken: float
    on_policy: bool


def gate_trust(
    items: Sequence[Item], judged: Judged, models: Sequence[str], settings: SynthesisSettings
) -> GateTrust | None:
    """Return how well the gate (the committee's decision) tells right answers from wrong ones. It is measured on the
    answers that the pool's models wrote, if some of these are right and some are wrong. Otherwise it is measured on the
    items that no model wrote. Return None if `settings` switch the review off, if no right answer could be judged, or
    if no wrong answer could be judged."""
    if not settings.review:
        return None
    on_policy = [item for item in items if item.author is not None]
    basis = (
        on_policy if len({item.right for item in on_policy}) == 2 else [item for item in items if item.author is None]
    )
    found = [(item, took) for item in basis if (took := taken_by(item, judged, models, settings)) is not None]
    right = [(item.question, took) for item, took in found if item.right]
    wrong = [(item.question, 1 - took) for item, took in found if not item.right]
    sens, spec = (share([v for _, v in side], [q for q, _ in side]) for side in (right, wrong))
    if sens is None or spec is None:
        return None
    trusted = (_trust(right), _trust(wrong))
    total = sum(took for _, took in found)
    return GateTrust(
        sens,
        spec,
        trusted,
        share_right_of_taken(total, len(found), *trusted),
        total / len(found),
        on_policy=basis is on_policy,
    )


def taken_by(item: Item, judged: Judged, models: Sequence[str], settings: SynthesisSettings) -> float | None:
    """Return the proportion of the possible committees that accept the answer. Return None if no committee is
    possible."""
    verdicts = [_takes(item, roles, judged, settings) for roles in committees(item.author, models, settings)]
    return sum(verdicts) / len(verdicts) if verdicts else None


def committees(author: str | None, models: Sequence[str], settings: SynthesisSettings) -> Iterator[Roles]:
    """Return the committees that a run could draw to judge an answer of the model `author` (see `roles.assign`). At
    most `MOST` committees are returned. Pass None as `author` if no model of the pool wrote the answer."""
    able, count = candidates(models, settings), settings.reviewers
    if author is not None and author not in able.generator:
        return iter([])
    if not policy(settings).distinct:
        (model,) = able.generator
        return iter([Roles(model, (model,) * count, model if able.adjudicator else None, model)])
    rest = [model for model in able.reviewers if model != author]
    drawn = (
        Roles(author or "", reviewers, adjudicator, "")
        for reviewers in combinations(rest, min(count, len(rest)))
        for adjudicator in _others(able.adjudicator, {author, *reviewers})
    )
    return islice(drawn, MOST)


def _others(able: Sequence[str], taken: Collection[str | None]) -> list[str | None]:
    """Return the models of `able` that are not in `taken`, so that no model has two roles; [None] if there is no such
    model."""
    found: list[str | None] = [model for model in able if model not in taken]
    return found or [None]


def _takes(item: Item, roles: Roles, judged: Judged, settings: SynthesisSettings) -> bool:
    scores = [found for model in roles.reviewers if (found := judged.get(model, {}).get(item.id)) is not None]
    verdict = gate(scores, settings).verdict
    if verdict != "adjudicate":
        return verdict == "accept"
    own = judged.get(roles.adjudicator or "", {}).get(item.id)
    return own is not None and adjudicated_verdict(own, settings)


def _trust(side: Sequence[tuple[str, float]]) -> Trust:
    import numpy as np

    values: Floats = np.array([value for _, value in side])
    return Trust(float(values.mean()), worth(values, [question for question, _ in side]))
