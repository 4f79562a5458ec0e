"""PURE: how far the whole gate can be trusted: what share of right and of wrong answers the committee would take.

The run draws generator, reviewers and adjudicator for each sample. Here every committee that could be drawn for an answer's author
looks at it, with the scores that its members gave it in the probe; the share of committees that take it counts for the answer. An
adjudicator is represented by its own review (in the run it has seen the reviews).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Any

from gra.synthesis.committee.estimates import Estimate, Floats, share, worth
from gra.synthesis.committee.prevalence import Trust, share_right_of_taken
from gra.synthesis.committee.probe_items import Item
from gra.synthesis.decision import adjudicated_verdict, gate
from gra.synthesis.records import Roles
from gra.synthesis.settings import SynthesisSettings

MOST = 200  # committees of one answer at most
Scores = Mapping[str, Any]  # numbers: whole ones of written reviews, others of probabilities
Judged = Mapping[str, Mapping[str, Scores | None]]  # model -> item's id -> its scores by dimension, None: no usable verdict


@dataclass(frozen=True)
class GateTrust:
    """`sens`, `spec`: shares of right answers taken and of wrong ones refused, with intervals; `trusted`: the same with the number
    of independent items behind them. `right_of_taken`: the share right of the probe's answers that the gate took. `on_policy`:
    whether all this rests on answers of the pool's own models; on answers made by rule it flatters. `taken`: the share of all
    answers taken."""

    sens: Estimate
    spec: Estimate
    trusted: tuple[Trust, Trust]
    right_of_taken: Estimate | None
    taken: float
    on_policy: bool


def gate_trust(items: Sequence[Item], judged: Judged, models: Sequence[str], settings: SynthesisSettings) -> GateTrust | None:
    """The gate's, from on-policy answers where there are right and wrong ones, else from those made by rule; None without review or
    where a class is empty."""
    if not settings.review:
        return None
    on_policy = [item for item in items if item.author is not None]
    basis = on_policy if len({item.right for item in on_policy}) == 2 else [item for item in items if item.author is None]
    found = [(item, took) for item in basis if (took := taken_by(item, judged, models, settings)) is not None]
    right = [(item.question, took) for item, took in found if item.right]
    wrong = [(item.question, 1 - took) for item, took in found if not item.right]
    sens, spec = (share([v for _, v in side], [q for q, _ in side]) for side in (right, wrong))
    if sens is None or spec is None:
        return None
    trusted = (_trust(right), _trust(wrong))
    total = sum(took for _, took in found)
    return GateTrust(
        sens, spec, trusted, share_right_of_taken(total, len(found), *trusted), total / len(found),
        on_policy=basis is on_policy,
    )  # fmt: skip


def taken_by(item: Item, judged: Judged, models: Sequence[str], settings: SynthesisSettings) -> float | None:
    """The share of the committees that could be drawn for this answer which take it; None where none could."""
    verdicts = [_takes(item, roles, judged, settings) for roles in committees(item.author, models, settings)]
    return sum(verdicts) / len(verdicts) if verdicts else None


def committees(author: str | None, models: Sequence[str], settings: SynthesisSettings) -> Iterator[Roles]:
    """The committees for an answer of `author` (None: of nobody in the pool), as roles.assign draws them, at most MOST."""
    count, adjudicates = settings.reviewers, settings.adjudicate
    if settings.roles == "single":
        model = settings.single_model or models[0]
        return iter([Roles(model, (model,), model if adjudicates else None, model)] if author in (None, model) else [])
    if settings.roles == "fixed":
        last = models[1 + count] if adjudicates and len(models) > 1 + count else None
        return iter([Roles(models[0], tuple(models[1 : 1 + count]), last, "")] if author in (None, models[0]) else [])
    rest = [model for model in models if model != author]
    drawn = (
        Roles(author or "", reviewers, adjudicator, "")
        for reviewers in combinations(rest, min(count, len(rest)))
        for adjudicator in ([model for model in rest if model not in reviewers] if adjudicates else [None]) or [None]
    )
    return islice(drawn, MOST)


def _takes(item: Item, roles: Roles, judged: Judged, settings: SynthesisSettings) -> bool:
    scores = [found for model in roles.reviewers if (found := judged.get(model, {}).get(item.id)) is not None]
    if settings.roles == "single":
        scores = scores * settings.reviewers
    verdict = gate(scores, settings).verdict
    if verdict != "adjudicate":
        return verdict == "accept"
    own = judged.get(roles.adjudicator or "", {}).get(item.id)
    return own is not None and adjudicated_verdict(own, settings)


def _trust(side: Sequence[tuple[str, float]]) -> Trust:
    import numpy as np

    values: Floats = np.array([value for _, value in side])
    return Trust(float(values.mean()), worth(values, [question for question, _ in side]))
