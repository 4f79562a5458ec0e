"""PURE: compares the models of a probe: how severe each is as a reviewer, whether it prefers its own family's answers,
whether reviewers make the same errors, and how often each model's own answers are right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean

from gra.correlation import pearson
from gra.intervals import normal
from gra.synthesis.probe.auc import LEVEL, Estimate, share
from gra.synthesis.probe.items import Item

Table = Mapping[str, Mapping[str, float]]  # model -> item's id -> score
LEAST = 10  # minimum items for a difference or a correlation


def severity(model: str, scores: Table) -> Estimate | None:
    """Return by how many points `model` scores lower than the mean of the other models, on average over the items. If
    the number is above 0, the model is harsh. If it is below 0, the model is lenient. The statistics that a run reports
    about its reviewers (health.py) use the same sign. Return None if there are too few items."""
    others = [name for name in scores if name != model]
    gaps = [
        fmean(seen) - score
        for item, score in scores[model].items()
        if (seen := [scores[name][item] for name in others if item in scores[name]])
    ]
    return _mean(gaps)


def preference(model: str, items: Sequence[Item], scores: Table, families: Mapping[str, str]) -> Estimate | None:
    """Return by how many points `model` prefers answers that its own model family wrote. For each answer, take the
    score of `model` minus the mean score of the models of other families. The result is the mean of these differences
    over its own family's answers, minus their mean over all other answers.

    This is computed separately for right and for wrong answers, and then averaged. Otherwise a family that is right
    more often would seem to be preferred. Return None if there are too few answers to compare, or if all models are of
    one family.
    """
    gaps: dict[tuple[bool, bool], list[float]] = {}
    for item in items:
        if item.author is None or item.id not in scores[model]:
            continue
        seen = [
            scores[name][item.id] for name in scores if families[name] != families[model] and item.id in scores[name]
        ]
        if seen:
            ours = families.get(item.author) == families[model]
            gaps.setdefault((ours, item.right), []).append(scores[model][item.id] - fmean(seen))
    total, value, variance = 0.0, 0.0, 0.0
    for right in (False, True):
        own, other = (_mean(gaps.get((side, right), []), least=4) for side in (True, False))
        if own is not None and other is not None:
            weight = 1 / (1 / own.n + 1 / other.n)
            total += weight
            value += weight * (own.value - other.value)
            variance += weight**2 * (_variance(own) + _variance(other))
    if total * 2 < LEAST / 2:
        return None
    reach = normal(LEVEL) * math.sqrt(variance) / total
    value /= total
    return Estimate(value, value - reach, value + reach, sum(len(found) for found in gaps.values()))


def error_correlations(items: Sequence[Item], scores: Table) -> dict[tuple[str, str], float]:
    """Return Pearson's correlation between the errors of two models, for each pair of models. A model's error on a
    right answer is its score minus its mean score of all right answers. Its error on a wrong answer is its score minus
    its mean score of all wrong answers. A pair is left out if it has too few common items, or if all errors of one
    model are zero."""
    errors: dict[str, dict[str, float]] = {}
    for model, given in scores.items():
        means = {
            right: _fmean([given[i.id] for i in items if i.id in given and i.right is right]) for right in (True, False)
        }
        errors[model] = {
            i.id: given[i.id] - mean for i in items if i.id in given and (mean := means[i.right]) is not None
        }
    found = {}
    for one, two in combinations(sorted(errors), 2):
        both = [(errors[one][item], errors[two][item]) for item in errors[one] if item in errors[two]]
        rho = pearson(both) if len(both) >= LEAST else None
        if rho is not None:
            found[one, two] = rho
    return found


def independent(count: int, correlations: Sequence[float]) -> float | None:
    """Return how many independent reviewers are worth as much as `count` reviewers with correlated errors. This number
    is n / (1 + (n - 1) rho), where n is `count` and rho is the mean of the `correlations` (at least 0). Return None if
    there are no correlations."""
    if not correlations or count < 1:
        return None
    rho = min(1.0, max(0.0, fmean(correlations)))
    return count / (1 + (count - 1) * rho)


def generators(items: Sequence[Item]) -> dict[str, dict[str, Estimate | None]]:
    """Return, for each model that answered questions, the proportion of its answers that are right. The proportion is
    given for all domains together (under the key "all") and for each domain."""
    found: dict[str, dict[str, Estimate | None]] = {}
    for author in dict.fromkeys(item.author for item in items if item.author is not None):
        own = [item for item in items if item.author == author]
        found[author] = {"all": _right(own)}
        found[author] |= {
            domain: _right([i for i in own if i.domain == domain]) for domain in sorted({i.domain for i in own})
        }
    return found


def _right(items: Sequence[Item]) -> Estimate | None:
    return share([float(item.right) for item in items], [item.question for item in items])


def _mean(values: Sequence[float], least: int = LEAST) -> Estimate | None:
    """Return a mean with its normal interval; None if there are too few values."""
    if len(values) < max(2, least):
        return None
    value = fmean(values)
    error = math.sqrt(sum((x - value) ** 2 for x in values) / (len(values) - 1) / len(values))
    return Estimate(value, value - normal(LEVEL) * error, value + normal(LEVEL) * error, len(values))


def _variance(found: Estimate) -> float:
    return ((found.high - found.low) / 2 / normal(LEVEL)) ** 2


def _fmean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
