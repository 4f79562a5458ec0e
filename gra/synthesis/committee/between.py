"""PURE: what a probe says of models beside one another: severity, preference for the own family, errors in common, generators."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean

from gra.intervals import normal
from gra.synthesis.committee.estimates import LEVEL, Estimate, share
from gra.synthesis.committee.probe_items import Item

Table = Mapping[str, Mapping[str, float]]  # model -> item's id -> score
_FAMILY = re.compile(r"[a-z]+")
LEAST = 10  # items below which no difference or correlation is told


def severity(model: str, scores: Table) -> Estimate | None:
    """How many points lower than the others the model scores the same items, on average: harsh above 0, lenient below; as in the
    health of a run (health.py)."""
    others = [name for name in scores if name != model]
    gaps = [
        fmean(seen) - score for item, score in scores[model].items()
        if (seen := [scores[name][item] for name in others if item in scores[name]])
    ]  # fmt: skip
    return _mean(gaps)


def family_of(name: str) -> str:
    """`qwen` of `Qwen/Qwen2.5-Coder-0.5B`: the first letters of a model's own name."""
    found = _FAMILY.search(name.lower().rsplit("/", 1)[-1])
    return found[0] if found else name


def preference(model: str, items: Sequence[Item], scores: Table, families: Mapping[str, str]) -> Estimate | None:
    """Points that the model gives answers of its own family beyond what others give them, less the same for other answers.

    Right and wrong answers apart, so that a family which is right more often is not taken for a preferred one; None where there are
    too few answers of either sort, or all models are of one family.
    """
    gaps: dict[tuple[bool, bool], list[float]] = {}
    for item in items:
        if item.author is None or item.id not in scores[model]:
            continue
        seen = [scores[name][item.id] for name in scores if families[name] != families[model] and item.id in scores[name]]
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
    """Pearson's correlation of what two models' scores are off by, which is the score less the model's mean for right, or for
    wrong, answers. Pairs with too few items in common, and models that give the same score to all right and all wrong ones, are
    left out."""
    off: dict[str, dict[str, float]] = {}
    for model, given in scores.items():
        means = {right: _fmean([given[i.id] for i in items if i.id in given and i.right is right]) for right in (True, False)}
        off[model] = {i.id: given[i.id] - mean for i in items if i.id in given and (mean := means[i.right]) is not None}
    found = {}
    for one, two in combinations(sorted(off), 2):
        both = [(off[one][item], off[two][item]) for item in off[one] if item in off[two]]
        rho = _pearson(both) if len(both) >= LEAST else None
        if rho is not None:
            found[one, two] = rho
    return found


def independent(count: int, correlations: Sequence[float]) -> float | None:
    """How many independent reviewers `count` of them are worth: n / (1 + (n - 1) rho), rho the mean correlation of their errors,
    taken as 0 where it is below. None where no correlation is known."""
    if not correlations or count < 1:
        return None
    rho = min(1.0, max(0.0, fmean(correlations)))
    return count / (1 + (count - 1) * rho)


def generators(items: Sequence[Item]) -> dict[str, dict[str, Estimate | None]]:
    """By generator the share right of what it answered, overall ("all") and by domain."""
    found: dict[str, dict[str, Estimate | None]] = {}
    for author in dict.fromkeys(item.author for item in items if item.author is not None):
        own = [item for item in items if item.author == author]
        found[author] = {"all": _right(own)}
        found[author] |= {domain: _right([i for i in own if i.domain == domain]) for domain in sorted({i.domain for i in own})}
    return found


def _right(items: Sequence[Item]) -> Estimate | None:
    return share([float(item.right) for item in items], [item.question for item in items])


def _mean(values: Sequence[float], least: int = LEAST) -> Estimate | None:
    """A mean with its normal interval; None of too few."""
    if len(values) < max(2, least):
        return None
    value = fmean(values)
    error = math.sqrt(sum((x - value) ** 2 for x in values) / (len(values) - 1) / len(values))
    return Estimate(value, value - normal(LEVEL) * error, value + normal(LEVEL) * error, len(values))


def _variance(found: Estimate) -> float:
    return ((found.high - found.low) / 2 / normal(LEVEL)) ** 2


def _fmean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _pearson(pairs: Sequence[tuple[float, float]]) -> float | None:
    xs, ys = zip(*pairs, strict=True)
    mx, my = fmean(xs), fmean(ys)
    sx, sy = (math.sqrt(sum((v - m) ** 2 for v in vs)) for vs, m in ((xs, mx), (ys, my)))
    if sx < 1e-9 or sy < 1e-9:
        return None
    return max(-1.0, min(1.0, sum((x - mx) * (y - my) for x, y in pairs) / sx / sy))
