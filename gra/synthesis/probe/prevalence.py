"""PURE: estimates which proportion of items is right, from the proportion that a test accepts and the test's
sensitivity and specificity.

A test accepts a proportion `sens` of the right items and `1 - spec` of the wrong items. If a proportion `share` of all
items is right, the test accepts a proportion p = sens x share + (1 - spec) x (1 - share) of all items. So

    share right of all judged items       = (p + spec - 1) / (sens + spec - 1)        (Rogan and Gladen 1978, AJE 107)
    share right of the accepted items     = sens x (the share above) / p              (Bayes)

`p` is counted in the run; `sens` and `spec` are estimated from a probe. The interval includes the uncertainty of all
three numbers (Lee et al. 2025, arXiv 2511.21140): each number is drawn many times from its Beta distribution (Jeffreys'
prior), the formulas are applied to every draw, and the interval is taken from the quantiles of the results, clipped to
0..1. If a draw has sens + spec <= 1, the test says nothing about the items, so every result from 0 to 1 is possible for
this draw.

Assumption: the test is as good on the run's samples as on the probe's items. So these items should be answers of the
run's own models, with the same mix of domains and generators.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gra.synthesis.probe.auc import LEVEL, Estimate, Floats

DRAWS = 10_000


@dataclass(frozen=True)
class Trust:
    """The sensitivity or the specificity of a test. `n`: the effective number of the items on which it was measured.
    This number can be fractional."""

    value: float
    n: float


def share_right(
    taken: float, judged: float, sens: Trust, spec: Trust, level: float = LEVEL, seed: int = 0
) -> Estimate | None:
    """Return the estimated proportion of right items among all items that a test judged. `judged`: the number of judged
    items. `taken`: how many of them the test accepted. `sens`, `spec`: the test's sensitivity and specificity. Return
    None if there are no items or if sens + spec <= 1. Raises ValueError if `taken` is below 0 or above `judged`."""
    return _estimate(taken, judged, sens, spec, level, seed, of_taken=False)


def share_right_of_taken(
    taken: float, judged: float, sens: Trust, spec: Trust, level: float = LEVEL, seed: int = 0
) -> Estimate | None:
    """Return the estimated proportion of right items among the items that a test accepted. The arguments are those of
    `share_right`. Return None if no item was accepted or if sens + spec <= 1. Raises ValueError if `taken` exceeds
    `judged`."""
    return _estimate(taken, judged, sens, spec, level, seed, of_taken=True) if taken > 0 else None


def _estimate(
    taken: float, judged: float, sens: Trust, spec: Trust, level: float, seed: int, *, of_taken: bool
) -> Estimate | None:
    if judged <= 0 or sens.n <= 0 or spec.n <= 0 or sens.value + spec.value <= 1:
        return None
    if not 0 <= taken <= judged:
        raise ValueError(f"{taken} taken of {judged} judged")
    rng = np.random.default_rng([seed, 17])
    p, se, sp = (_drawn(rng, *pair) for pair in ((taken / judged, judged), (sens.value, sens.n), (spec.value, spec.n)))
    blind = se + sp <= 1
    drawn = _share(p, se, np.where(blind, 1.0, sp), of_taken)
    low = float(np.quantile(np.where(blind, 0.0, drawn), (1 - level) / 2))
    high = float(np.quantile(np.where(blind, 1.0, drawn), (1 + level) / 2))
    seen = [np.array([x]) for x in (taken / judged, sens.value, spec.value)]
    value = float(_share(seen[0], seen[1], seen[2], of_taken)[0])
    return Estimate(value, min(low, value), max(high, value), round(taken if of_taken else judged))


def _drawn(rng: np.random.Generator, value: float, n: float) -> Floats:
    return rng.beta(value * n + 0.5, (1 - value) * n + 0.5, DRAWS)


def _share(p: Floats, sens: Floats, spec: Floats, of_taken: bool) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip((p + spec - 1) / (sens + spec - 1), 0.0, 1.0)
        found: Floats = np.nan_to_num(np.clip(sens * share / p, 0.0, 1.0)) if of_taken else np.nan_to_num(share)
    return found
