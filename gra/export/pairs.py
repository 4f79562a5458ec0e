"""PURE: finds preference pairs in a data folder: two reviewed responses to the same instruction, of which the kept one is
chosen.

A data folder holds such pairs if several responses to an instruction were reviewed: with `gra refine` and several answers
per instruction, or if proposals have the same instruction by chance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any


def pairs(
    kept: Iterable[Mapping[str, Any]], dropped: Iterable[Mapping[str, Any]], margin: float
) -> list[dict[str, str]]:
    """Return a pair {prompt, chosen, rejected} for each kept response, in the order of `kept`: it is the chosen one,
    and the dropped response to the same instruction with the lowest score is the rejected one.

    `margin`: the least difference between their scores; a score is the reviewers' mean, in points. Responses without a
    score form no pair.
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
