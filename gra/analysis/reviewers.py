"""PURE: how the reviewers of a data set judge, by the report's rules: severity, agreement in pairs, preference for their family."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from gra.compare.report.judgements import LEAST, Judged, below, correlation, pairs
from gra.model_names import family_of
from gra.severity import preference


def reviewers(found: Sequence[Judged]) -> dict[str, Any]:
    """`severity`: by how many points lower a reviewer scores than the others of the same samples (harsh: above 0); `agreement`:
    correlation of two reviewers' scores; `own_family`: by how many points more than the others a reviewer scores generators of its
    own family, minus the same for all others. None for too few samples.

    Of all proposals, dropped ones too: among kept samples alone reviewers seem to disagree, because a low score is kept only beside
    high ones."""
    gaps = below(found)
    kin = {model: [name for name in seen if family_of(name) == family_of(model)] for model, seen in gaps.items()}
    return {
        "severity": {
            model: fmean(gap for each in seen.values() for gap in each) for model, seen in sorted(gaps.items())
        },
        "agreement": {f"{a} | {b}": correlation(both) for (a, b), both in sorted(pairs(found).items())},
        "own_family": {model: preference(seen, kin[model], LEAST) for model, seen in sorted(gaps.items())},
    }
