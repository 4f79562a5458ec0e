"""PURE: preference pairs out of a data folder: two reviewed responses to one instruction, the kept one chosen.

A data folder holds such pairs where several responses to an instruction were reviewed: those of `gra refine` with several answers,
or proposals that came to the same instruction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any


def pairs(
    kept: Iterable[Mapping[str, Any]], dropped: Iterable[Mapping[str, Any]], margin: float
) -> list[dict[str, str]]:
    """{prompt, chosen, rejected} for each kept response and the worst dropped one to the same instruction, in the order of `kept`.

    `margin`: points of the reviewers' mean score by which the kept response must be better. Responses without a score make no pair.
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
