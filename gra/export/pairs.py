"""PURE: finds preference pairs in a data folder. A pair is two reviewed responses to the same instruction: a kept one
(chosen) and a dropped one (rejected).

A data folder has such pairs if several responses to an instruction were reviewed. This happens if `gra refine` asks for
several answers per instruction, or if proposals have the same instruction by chance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any


def pairs(
    kept: Iterable[Mapping[str, Any]], dropped: Iterable[Mapping[str, Any]], margin: float
) -> list[dict[str, str]]:
    """Return preference pairs {prompt, chosen, rejected}, in the order of `kept`. Each response in `kept` is paired
    with the response in `dropped` that answers the same instruction and has the lowest score.

    `kept`: the samples in the data set. `dropped`: the samples that the reviewing models rejected. A response's score
    is the mean of its reviewers' scores. A response without a score is in no pair. `margin`: the minimum difference
    between the scores of the two responses, in points. If the difference is smaller, there is no pair.
    """
    worse: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for row in dropped:
        if row.get("mean") is not None and row.get("response"):
            worse[row["instruction"]].append((float(row["mean"]), str(row["response"])))
    found = []
    for row in kept:
        candidates = worse.get(row["instruction"], [])
        if row.get("mean") is None or not candidates:
            continue
        mean, response = min(candidates)
        if float(row["mean"]) - mean >= margin and response != row["response"]:
            found.append({"prompt": row["instruction"], "chosen": row["response"], "rejected": response})
    return found
