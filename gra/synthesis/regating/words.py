"""PURE: describes in words what a recorded run could not decide for an arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def in_words(account: Mapping[str, Any]) -> str:
    """Return the value `regated` of stats.json as text."""
    parts = [f"{count} proposals undecided: {what}" for what, count in account["undecided"].items()]
    if account["annotations_missing"]:
        parts.append(f"{account['annotations_missing']} kept samples were never annotated")
    for key, text in (
        ("rounds_used_up", "the recorded proposals are used up in round"),
        ("rounds_from_the_recorded_pool", "proposals drawn from the recorded pool, not the arm's own, in round"),
    ):
        if account[key]:
            parts.append(f"{text} {', '.join(map(str, account[key]))}")
    if account["adjudicator_of_more_reviewers"]:
        parts.append("a run with fewer reviewers draws another adjudicator")
    return "; ".join(parts)
