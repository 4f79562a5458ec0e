"""PURE: formats the committee's health (health.py) for the terminal, the log and the status.json of a running synthesis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gra.wellformed import printable

MOST = 3  # warnings shown at once
_LONGEST = 160  # characters of a warning: models' names come from the user and can be long


def agreement(found: Mapping[str, Any]) -> str:
    """Return one line that says how far the reviewers agree. `found`: the result of `Health.account`.

    The line has Krippendorff's alpha with its interval ("-" if alpha is unknown) and the number of samples. It also
    says which proportion of the variance of the samples' mean scores is due to the choice of reviewers.
    """
    interval = f" [{found['alpha_low']:.2f}, {found['alpha_high']:.2f}]" if found["alpha_low"] is not None else ""
    draw = f"; {found['draw_share']:.0%} of mean scores is who reviewed" if found["draw_share"] is not None else ""
    return f"alpha {alpha(found)}{interval} over {found['samples']:,} samples{draw}"


def alpha(found: Mapping[str, Any]) -> str:
    """Return Krippendorff's alpha as text; "-" if it is unknown."""
    return "-" if found["alpha"] is None else f"{found['alpha']:.2f}"


def loud(found: Mapping[str, Any]) -> list[str]:
    """Return the first three (MOST) warnings, each on one line and without control characters. If there are more
    warnings, a last line says how many. `found`: the result of `Health.account`."""
    words = [" ".join(printable(text).split()) for text in found["warnings"]]
    cut = [text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..." for text in words[:MOST]]
    return [*cut, f"and {len(words) - MOST} more: see status.json"] if len(words) > MOST else cut
