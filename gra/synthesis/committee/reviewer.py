"""PURE: what a probe says of one model as a reviewer, and in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, pstdev
from typing import Any

from gra.synthesis.committee.calibration import apply, calibrate
from gra.synthesis.committee.estimates import LEVEL, Estimate, auc, data_of, share
from gra.synthesis.committee.probe_items import Item
from gra.synthesis.committee.verdicts import CONSTANT, Verdicts

ENDS = (0.5, 9.5)  # a score below the first or above the second is at an end of the scale
ENOUGH = 10  # right and wrong on-policy answers each, from which the verdict rests on them
GOOD = 0.7  # AUC from which a reviewer tells right from wrong
Scores = Mapping[str, float]


@dataclass(frozen=True)
class Reviewer:
    """One model's scale and what it can tell. `basis`: of which items the verdict speaks, "on-policy" or "rule-made"; `auc_by`: by
    kind of wrong answer and by domain; `calibration`: knots; `above_chance`:
    whether its AUC is above 1/2 for certain, though several models were looked at."""

    model: str
    usable: Estimate | None
    auc: Estimate | None
    basis: str
    auc_by: dict[str, Estimate | None]
    scale: dict[str, float | None]
    sensitivity: Estimate | None
    specificity: Estimate | None
    false_accepts: dict[str, Estimate | None]
    calibration: list[list[float]] | None
    false_accepts_calibrated: float | None
    above_chance: bool = False
    words: list[str] = field(default_factory=list)

    def data(self) -> dict[str, Any]:
        """For probe.json."""
        return {
            "words": self.words, "usable": data_of(self.usable), "basis": self.basis, "auc": data_of(self.auc),
            "auc_by": {name: data_of(found) for name, found in self.auc_by.items()}, "scale": self.scale,
            "sensitivity": data_of(self.sensitivity), "specificity": data_of(self.specificity),
            "false_accepts": {name: data_of(found) for name, found in self.false_accepts.items()},
            "calibration": self.calibration, "false_accepts_calibrated": self.false_accepts_calibrated,
        }  # fmt: skip


def look_at(
    model: str, items: Sequence[Item], given: Mapping[str, Scores | None], tau: float, own: bool = False, family: int = 1
) -> Reviewer:  # fmt: skip
    """The reviewer `model`, who gave the items these scores (None: no usable verdict; not there: not asked).

    Its own answers count for its scale alone, unless `own`: no model reviews its own samples but with roles=single. `family`: of
    how many models are looked at; among so many one is above chance by chance (Bonferroni).
    """
    asked = [item for item in items if item.id in given]
    usable = [(item, scores) for item in asked if (scores := given[item.id]) is not None]
    score = {item.id: fmean(scores.values()) for item, scores in usable}
    judged = [item for item, _ in usable if own or item.author != model]
    policy = [item for item in judged if item.author is not None]
    ruled = [item for item in judged if item.author is None]
    enough = min(sum(item.right for item in policy), sum(not item.right for item in policy)) >= ENOUGH
    basis = policy if enough else ruled
    by = {"rule-made": ruled, "on-policy": policy}
    by |= {kind: _with_right(ruled, kind) for kind in sorted({item.kind for item in ruled if not item.right})}
    by |= {f"domain {domain}": [i for i in judged if i.domain == domain] for domain in sorted({i.domain for i in judged})}
    knots = calibrate([score[item.id] for item in basis], [item.right for item in basis])
    wrong = [item for item in basis if not item.right]
    above = [apply(knots, score[item.id]) >= tau for item in wrong] if knots else []

    def accepts(chosen: Sequence[Item]) -> Estimate | None:
        return share([float(score[item.id] >= tau) for item in chosen], [item.question for item in chosen])

    kinds: dict[str, list[Item]] = {}
    for item in judged:
        if not item.right:
            kinds.setdefault(item.kind, []).append(item)
    found = Reviewer(
        model,
        share([float(given[item.id] is not None) for item in asked], [item.question for item in asked]),
        _auc(basis, score), "on-policy" if enough else "rule-made", {name: _auc(some, score) for name, some in by.items()},
        _scale([scores for _, scores in usable], list(score.values())),
        accepts([item for item in basis if item.right]),
        share([float(score[item.id] < tau) for item in wrong], [item.question for item in wrong]),
        {kind: accepts(some) for kind, some in sorted(kinds.items())}, knots,
        round(sum(above) / len(above), 4) if above else None,
        (strict := _auc(basis, score, 1 - (1 - LEVEL) / family)) is not None and strict.low > 0.5,
    )  # fmt: skip
    found.words.extend(in_words(found, tau))
    return found


def in_words(found: Reviewer, tau: float) -> list[str]:
    """The verdict, a sentence each, the gravest first."""
    name, said = found.model, []
    of = "answers of its peers" if found.basis == "on-policy" else "answers made by rule"
    if found.usable is not None and found.usable.value < 0.5:
        said.append(f"{name} gives no usable verdict on {1 - found.usable.value:.0%} of what it reviews.")
    if found.auc is None:
        said.append(f"{name}: nothing can be said of its reviews, there are no scores of right and of wrong answers.")
    elif found.auc.high < 0.5:
        said.append(f"{name} prefers wrong answers (AUC {found.auc}, {of}): its reviews do harm.")
    elif found.auc.low <= 0.5:
        said.append(f"{name} cannot tell right from wrong (AUC {found.auc}, {of}): its reviews are noise.")
    elif found.auc.value < GOOD:
        said.append(f"{name} tells right from wrong a little better than chance (AUC {found.auc}, {of}).")
    else:
        said.append(f"{name} tells right from wrong (AUC {found.auc}, {of}).")
    ruled = found.auc_by.get("rule-made")
    if found.basis == "on-policy" and ruled is not None and found.auc is not None and ruled.low > found.auc.high:
        said.append(f"{name} does better on answers made by rule (AUC {ruled}), which flatter.")
    constant = found.scale["constant"]
    if constant is not None and constant >= CONSTANT:
        said.append(f"{name} gives the same score to {constant:.0%} of all answers.")
    if found.sensitivity is not None and found.specificity is not None:
        if found.sensitivity.value == 0:
            said.append(f"{name} gives no right answer {tau:g} or more: no sample passes on its word.")
        elif found.specificity.value < 0.5:
            said.append(f"{name} gives {tau:g} or more to {1 - found.specificity.value:.0%} of wrong answers.")
    return said


def _with_right(items: Sequence[Item], kind: str) -> list[Item]:
    """The wrong items of a kind, with the right ones of the same questions."""
    questions = {item.question for item in items if item.kind == kind}
    return [item for item in items if item.question in questions and (item.right or item.kind == kind)]


def _auc(items: Sequence[Item], score: Mapping[str, float], level: float = LEVEL) -> Estimate | None:
    return auc([score[i.id] for i in items], [i.right for i in items], [i.question for i in items], level)


def _scale(given: Sequence[Scores], scores: Sequence[float]) -> dict[str, float | None]:
    """mean, sd; `constant` and `equal`: verdicts.py; `ends`: the share of scores at the ends of the scale."""
    counted = Verdicts()
    for score, dimensions in zip(scores, given, strict=True):
        counted.add(score, dimensions)
    return {
        "mean": _rounded(scores, fmean), "sd": _rounded(scores, pstdev),
        "constant": _rounded_share(counted.constant), "equal": _rounded_share(counted.equal),
        "ends": _rounded([not ENDS[0] < score < ENDS[1] for score in scores], fmean),
    }  # fmt: skip


def _rounded_share(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _rounded(values: Sequence[float], of: Callable[[Sequence[float]], float]) -> float | None:
    return round(of(values), 4) if values else None
