"""What the input `probe` of a synthesis says of the finished run: the estimated share right of what the committee accepted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gra.errors import StoreError

RESULT = "probe.json"
FORMAT = 2  # its version; 2: severity is above 0 where a reviewer is harsh, `constant` is to a hundredth of a point
REVIEWED = ("below_tau", "disputed", "too_few_reviews", "adjudication_missing", "adjudicated_out")  # dropped at the gate


def read_probe(folder: Path | None) -> dict[str, Any] | None:
    """The content of the folder's probe.json; None without an input, or where the probe was off. Raises StoreError."""
    if folder is None:
        return None
    path = folder / RESULT
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        remedy = "give the folder of `gra probe`: inputs.probe=DIR"
        raise StoreError(f"{path}: cannot be read as the result of a probe: {error}\n    -> {remedy}") from error
    if not isinstance(found, dict) or "models" not in found:
        raise StoreError(f"{path}: is no result of a probe\n    -> give the folder of `gra probe`: inputs.probe=DIR")
    return None if found.get("off") else found


def estimate(probe: Mapping[str, Any], stats: Mapping[str, Any]) -> dict[str, Any]:
    """For stats.json: what the probe said, and what share of the samples that were reviewed, and accepted, is estimated right.

    Samples that hold benchmark items or are duplicates count here: they passed the gate.
    """
    from gra.synthesis.committee.qualify import right_of_accepted

    reasons: Mapping[str, int] = stats.get("reasons") or {}
    accepted = int(stats["accepted"])
    reviewed = accepted + sum(reasons.get(reason, 0) for reason in REVIEWED)
    found = right_of_accepted(probe, accepted, reviewed)
    auc = {model: entry["auc"] for model, entry in probe["models"].items()}
    return {"words": in_words(found), "faults": probe["faults"], "auc": auc, "estimate": found}


def in_words(found: Mapping[str, Any] | None) -> str:
    """One line for card and report, of the estimate."""
    if found is None:
        return "The probe saw no gate: nothing can be estimated of what it accepted."
    right = found["right_of_accepted"]
    flatters = "" if found["basis"] == "on-policy" else " Its probes were answers made by rule, which flatter."
    if right is None:
        return "By its probe the gate tells right from wrong no better than a coin: nothing can be said of what it accepted."
    share = f"{right['value']:.0%} [{right['low']:.0%}, {right['high']:.0%}]"
    return f"Estimated share right of the accepted samples, by the probe of the committee: {share}.{flatters}"
