"""PURE: how the reviewers of a data set judge: whom they agree with, how severe they are, whether they favour their own family."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import combinations
from statistics import fmean
from typing import Any

from gra.correlation import pearson
from gra.model_names import family_of

LEAST = 10  # samples that two reviewers must share before their agreement is stated


def reviewers(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """`severity`: a reviewer's mean score minus the others' on the same samples; `agreement`: correlation of two reviewers' scores;
    `own_family`: how much more than the others a reviewer gives to a generator of its own family than to the rest, in points."""
    off: dict[str, list[float]] = defaultdict(list)
    kin: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    pairs: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        given = {one["model"]: one["score"] for one in row["scores"] or () if one["score"] is not None}
        for model, score in given.items():
            others = [value for name, value in given.items() if name != model]
            if others:
                gap = score - fmean(others)
                off[model].append(gap)
                kin[model][family_of(model) != family_of(row["generator"])].append(gap)
        for one, other in combinations(sorted(given), 2):
            pairs[one, other].append((given[one], given[other]))
    return {
        "severity": {model: fmean(gaps) for model, gaps in sorted(off.items())},
        "agreement": {
            f"{a} | {b}": pearson(found) if len(found) >= LEAST else None for (a, b), found in sorted(pairs.items())
        },
        "own_family": {
            model: fmean(own) - fmean(rest) if own and rest else None for model, (own, rest) in sorted(kin.items())
        },
    }
