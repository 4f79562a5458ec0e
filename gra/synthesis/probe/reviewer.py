"""PURE: measures one model as a reviewer, from the scores that it gave the probe's items, and puts the verdict into
words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, pstdev
from typing import Any

from gra.synthesis.probe.auc import LEVEL, Estimate, auc, data_of, share
from gra.synthesis.probe.items import Item
from gra.synthesis.probe.verdicts import CONSTANT, Verdicts
from gra.synthesis.scoring.calibration import apply, calibrate

ENDS = (0.5, 9.5)  # a score at or beyond one of these is at an end of the scale
ENOUGH = 10  # minimum right and minimum wrong on-policy answers for a verdict from them
GOOD = 0.7  # minimum AUC for the verdict that a reviewer tells right from wrong
Scores = Mapping[str, float]


@dataclass(frozen=True)
class Reviewer:
    """How one model uses the scale of scores, and how well it tells right answers from wrong ones.

    `basis`: the answers on which `auc`, `sensitivity` and `specificity` were measured. They are "on-policy" (answers of
    the pool's models) or "rule-made" (right answers, and wrong ones made from them by rule). `auc_by`: the AUC for each
    origin of the answers (rule-made, on-policy), for each kind of wrong answer and for each domain. `calibration`: the
    points (knots) of the map from the model's scores to the common scale. `above_chance`: whether the model's AUC is
    significantly above 1/2, corrected for the number of models.
    """

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
        """Return the figures for probe.json."""
        return {
            "words": self.words,
            "usable": data_of(self.usable),
            "basis": self.basis,
            "auc": data_of(self.auc),
            "auc_by": {name: data_of(found) for name, found in self.auc_by.items()},
            "scale": self.scale,
            "sensitivity": data_of(self.sensitivity),
            "specificity": data_of(self.specificity),
            "false_accepts": {name: data_of(found) for name, found in self.false_accepts.items()},
            "calibration": self.calibration,
            "false_accepts_calibrated": self.false_accepts_calibrated,
        }


def assess(
    model: str,
    items: Sequence[Item],
    given: Mapping[str, Scores | None],
    tau: float,
    own: bool = False,
    family: int = 1,
    calibrated: bool = False,
) -> Reviewer:
    """Measure `model` as a reviewer and return the results.

    `given`: for each item's id, the scores that the model gave, or None if its verdict is unusable. An item that the
    model did not review has no entry. `tau`: the score from which an answer counts as accepted. `own`: whether the
    scores that the model gave to its own answers count. If it is False, these scores only serve to describe how the
    model uses the scale. (In a run, a model reviews its own samples only with roles=single.) `family`: the number of
    models compared, for the Bonferroni correction. `calibrated`: whether the run maps scores to a common scale before
    it compares them with `tau`. Even then, all results except `false_accepts_calibrated` are computed from the unmapped
    scores. But the verdict in words then omits the results that depend on `tau`.
    """
    reviewed = [item for item in items if item.id in given]
    usable = [(item, scores) for item in reviewed if (scores := given[item.id]) is not None]
    score = {item.id: fmean(scores.values()) for item, scores in usable}
    judged = [item for item, _ in usable if own or item.author != model]
    policy = [item for item in judged if item.author is not None]
    ruled = [item for item in judged if item.author is None]
    enough = min(sum(item.right for item in policy), sum(not item.right for item in policy)) >= ENOUGH
    basis = policy if enough else ruled
    by = {"rule-made": ruled, "on-policy": policy}
    by |= {kind: _with_right(ruled, kind) for kind in sorted({item.kind for item in ruled if not item.right})}
    by |= {
        f"domain {domain}": [i for i in judged if i.domain == domain] for domain in sorted({i.domain for i in judged})
    }
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
        share([float(given[item.id] is not None) for item in reviewed], [item.question for item in reviewed]),
        _auc(basis, score),
        "on-policy" if enough else "rule-made",
        {name: _auc(some, score) for name, some in by.items()},
        _scale([scores for _, scores in usable], list(score.values())),
        accepts([item for item in basis if item.right]),
        share([float(score[item.id] < tau) for item in wrong], [item.question for item in wrong]),
        {kind: accepts(some) for kind, some in sorted(kinds.items())},
        knots,
        round(sum(above) / len(above), 4) if above else None,
        (strict := _auc(basis, score, 1 - (1 - LEVEL) / family)) is not None and strict.low > 0.5,
    )
    found.words.extend(in_words(found, None if calibrated else tau))
    return found


def in_words(found: Reviewer, tau: float | None) -> list[str]:
    """Return the verdict on the model as sentences, the most important first. `tau`: the score from which an answer
    counts as accepted. Pass None if the run compares calibrated scores with this threshold. The sentences that compare
    the model's own, uncalibrated scores with the threshold are then left out."""
    name, sentences = found.model, []
    of = "answers of its peers" if found.basis == "on-policy" else "answers made by rule"
    if found.usable is not None and found.usable.value < 0.5:
        sentences.append(f"{name} gives no usable review of {1 - found.usable.value:.0%} of the items.")
    if found.auc is None:
        sentences.append(f"{name}: not judged, because it scored no right or no wrong answers.")
    elif found.auc.high < 0.5:
        sentences.append(f"{name} prefers wrong answers (AUC {found.auc}, {of}): its reviews do harm.")
    elif found.auc.low <= 0.5:
        sentences.append(f"{name} cannot tell right from wrong (AUC {found.auc}, {of}): its reviews are noise.")
    elif found.auc.value < GOOD:
        sentences.append(f"{name} tells right from wrong a little better than chance (AUC {found.auc}, {of}).")
    else:
        sentences.append(f"{name} tells right from wrong (AUC {found.auc}, {of}).")
    ruled = found.auc_by.get("rule-made")
    if found.basis == "on-policy" and ruled is not None and found.auc is not None and ruled.low > found.auc.high:
        sentences.append(f"{name} does better on rule-made answers (AUC {ruled}), which are easier to judge.")
    constant = found.scale["constant"]
    if constant is not None and constant >= CONSTANT:
        sentences.append(f"{name} gives the same score to {constant:.0%} of all answers.")
    if tau is not None and found.sensitivity is not None and found.specificity is not None:
        if found.sensitivity.value == 0:
            sentences.append(f"{name} scores every right answer below {tau:g}: with its scores no sample passes.")
        elif found.specificity.value < 0.5:
            sentences.append(f"{name} gives {tau:g} or more to {1 - found.specificity.value:.0%} of wrong answers.")
    return sentences


def _with_right(items: Sequence[Item], kind: str) -> list[Item]:
    """Return the wrong items of a kind, and the right items of the same questions."""
    questions = {item.question for item in items if item.kind == kind}
    return [item for item in items if item.question in questions and (item.right or item.kind == kind)]


def _auc(items: Sequence[Item], score: Mapping[str, float], level: float = LEVEL) -> Estimate | None:
    return auc([score[i.id] for i in items], [i.right for i in items], [i.question for i in items], level)


def _scale(given: Sequence[Scores], scores: Sequence[float]) -> dict[str, float | None]:
    """Return mean, sd, `constant` and `equal` (see verdicts.py), and `ends`, the proportion of scores at the ends of
    the scale."""
    counted = Verdicts()
    for score, dimensions in zip(scores, given, strict=True):
        counted.add(score, dimensions)
    return {
        "mean": _rounded(scores, fmean),
        "sd": _rounded(scores, pstdev),
        "constant": _rounded_share(counted.constant),
        "equal": _rounded_share(counted.equal),
        "ends": _rounded([not ENDS[0] < score < ENDS[1] for score in scores], fmean),
    }


def _rounded_share(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _rounded(values: Sequence[float], of: Callable[[Sequence[float]], float]) -> float | None:
    return round(of(values), 4) if values else None
