"""PURE: adjusts p-values for multiple tests. A comparison tests one difference per benchmark."""

from __future__ import annotations

from collections.abc import Mapping


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return the p-values, adjusted for multiple tests by Holm's step-down method. If only adjusted p-values of at most
    5 % count as findings, the probability that at least one finding is false is at most 5 %.

    With m p-values in ascending order, the i-th (from 0) becomes the largest of (m - j) * p_j over j <= i, at most 1.
    Source: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6.
    """
    adjusted: dict[str, float] = {}
    running = 0.0
    for rank, key in enumerate(sorted(p_values, key=lambda k: (p_values[k], k))):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[key]))
        adjusted[key] = running
    return {key: adjusted[key] for key in p_values}
