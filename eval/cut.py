"""PURE: what is said of replies that ended at their limit of tokens: their answers may be missing, and the score with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOTICED = 0.02  # share of a task's replies above which a warning is given
MISSING = "-"


def shown(score: Mapping[str, Any]) -> str:
    """`12 (0.9 %)` of a task, group or mean of scores.json; `-` where it is not known."""
    count, known = score.get("at_limit"), score.get("at_limit_known")
    return MISSING if count is None or not known else f"{count:,} ({100 * count / known:.1f} %)"


def warnings(result: Mapping[str, Any]) -> list[str]:
    """One line for each task of scores.json of which too many replies were cut off."""
    return [line for name, score in result["tasks"].items() if (line := _warning(name, score)) is not None]


def _warning(name: str, score: Mapping[str, Any]) -> str | None:
    count, known = score.get("at_limit"), score.get("at_limit_known")
    if count is None or not known or count <= NOTICED * known:
        return None
    longest = (score.get("how") or {}).get("max_new_tokens")
    limit = f"the limit of {longest:,} tokens" if isinstance(longest, int) else "the limit of tokens"
    remedy = f"allow more: suite.max_new_tokens={4 * longest}" if isinstance(longest, int) else "allow more: suite.max_new_tokens=N"
    return (
        f"WARNING: {name}: {count:,} of {known:,} replies ({100 * count / known:.1f} %) ended at {limit}, so their answers may be "
        f"missing: the score is too low. {remedy[0].upper()}{remedy[1:]} (the model must have room for as many: model.max_length)."
    )
