"""PURE: computes how severe a data set's reviewers are, how far they agree, and whether they prefer models of their own
family. The rules are those of the HTML report (compare/report/judgements.py)."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from gra.compare.report.judgements import LEAST, Judged, below, correlation, pairs
from gra.model_names import family_of
from gra.severity import preference


def reviewers(found: Sequence[Judged]) -> dict[str, Any]:
    """Return three measures of the models that reviewed the proposals (generated samples) in `found`.

    If there are too few samples to compute a measure, it is None.

    severity    for each reviewer, how many points its scores lie below those of the other reviewers of the same samples
                (negative: above)
    agreement   for each pair of reviewers, the correlation of their scores
    own_family  for each reviewer, its bias towards generators of its own model family, in points. For the samples of
                these generators, take the reviewer's scores minus the other reviewers' scores. Subtract the same
                difference for the samples of all other generators

    The measures are computed from all proposals, kept and dropped. The kept ones alone would make the reviewers seem to
    disagree, because a proposal with one low score is kept only if its other scores are high.
    """
    gaps = below(found)
    kin = {model: [name for name in seen if family_of(name) == family_of(model)] for model, seen in gaps.items()}
    return {
        "severity": {
            model: fmean(gap for each in seen.values() for gap in each) for model, seen in sorted(gaps.items())
        },
        "agreement": {f"{a} | {b}": correlation(both) for (a, b), both in sorted(pairs(found).items())},
        "own_family": {model: preference(seen, kin[model], LEAST) for model, seen in sorted(gaps.items())},
    }
