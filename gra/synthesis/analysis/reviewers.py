"""PURE: how the reviewers of a data set judge: whom they agree with, how severe they are, whether they favour their own family."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import combinations
from statistics import fmean
from typing import Any

LEAST = 10  # samples that two reviewers must share before their agreement is stated


def family(model: str) -> str:
    """The letters that a model's name begins with: qwen2.5-7b and qwen3-8b are of one family. It knows nothing of pedigrees."""
    found = re.match(r"[A-Za-z]+", model.rpartition("/")[2])
    return found[0].casefold() if found else model


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
                kin[model][family(model) != family(row["generator"])].append(gap)
        for one, other in combinations(sorted(given), 2):
            pairs[one, other].append((given[one], given[other]))
    return {
        "severity": {model: fmean(gaps) for model, gaps in sorted(off.items())},
        "agreement": {f"{a} | {b}": _correlation(found) for (a, b), found in sorted(pairs.items())},
        "own_family": {
            model: fmean(own) - fmean(rest) if own and rest else None for model, (own, rest) in sorted(kin.items())
        },
    }


def _correlation(found: list[tuple[float, float]]) -> float | None:
    if len(found) < LEAST:
        return None
    first, second = ([pair[side] for pair in found] for side in (0, 1))
    a, b = fmean(first), fmean(second)
    spread = sum((x - a) ** 2 for x in first) * sum((y - b) ** 2 for y in second)
    return sum((x - a) * (y - b) for x, y in found) / spread**0.5 if spread else None
