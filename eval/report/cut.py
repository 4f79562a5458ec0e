"""PURE: reports truncated replies (those that ended at their token limit), because their answers may be missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOTICED = 0.02  # share of a task's replies; a warning is given if more are truncated
MISSING = "-"


def shown(score: Mapping[str, Any]) -> str:
    """Return how many replies were truncated, as text: `12 (0.9 %)`, or `-` if unknown.

    `score`: an entry of scores.json, for a task, for a group or for the mean.
    """
    count, known = score.get("at_limit"), score.get("at_limit_known")
    return MISSING if count is None or not known else f"{count:,} ({100 * count / known:.1f} %)"


def warnings(result: Mapping[str, Any]) -> list[str]:
    """Return one warning for each task in which the share of truncated replies is above the constant NOTICED.

    `result`: the content of scores.json.
    """
    return [line for name, score in result["tasks"].items() if (line := _warning(name, score)) is not None]


def _warning(name: str, score: Mapping[str, Any]) -> str | None:
    count, known = score.get("at_limit"), score.get("at_limit_known")
    if count is None or not known or count <= NOTICED * known:
        return None
    longest = (score.get("how") or {}).get("max_new_tokens")
    limit = f"the limit of {longest:,} tokens" if isinstance(longest, int) else "the token limit"
    more = 4 * longest if isinstance(longest, int) else "N"
    return (
        f"WARNING: {name}: {count:,} of {known:,} replies ({100 * count / known:.1f} %) were truncated at {limit}; their answers "
        f"may be missing and the score too low. Allow longer replies: suite.max_new_tokens={more} (within model.max_length)."
    )
