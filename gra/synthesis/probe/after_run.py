"""Estimates, from the run's input `probe`, the proportion of right samples among the samples that a finished run
accepted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gra.errors import StoreError
from gra.reasons import at

RESULT = "probe.json"


def read_probe(folder: Path | None) -> dict[str, Any] | None:
    """Return the content of probe.json, which the stage `probe` (a test of the committee before the run) writes into
    `folder`. Return None if `folder` is None or the probe was switched off. Raises StoreError if the file is not the
    result of a probe."""
    if folder is None:
        return None
    path = folder / RESULT
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        remedy = "give the folder of `gra probe`: inputs.probe=DIR"
        raise StoreError(f"{path}: cannot be read as the result of a probe: {error}\n    -> {remedy}") from error
    if not isinstance(found, dict) or "models" not in found:
        raise StoreError(f"{path}: not the result of a probe\n    -> give the folder of `gra probe`: inputs.probe=DIR")
    return None if found.get("off") else found


def estimate(probe: Mapping[str, Any], stats: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object that stats.json holds under the key `probe`. It has the faults that the probe (a test of the
    committee) found, the AUC of each model, and the estimated proportions of right samples among the reviewed and among
    the accepted samples. It also has a text for the data card, which states the proportion among the accepted samples.

    A sample that passed the gate (the committee's decision) counts as accepted, even if it was dropped later as
    contaminated or as a duplicate.
    """
    from gra.synthesis.probe.result import right_of_accepted

    reasons: Mapping[str, int] = stats.get("reasons") or {}
    accepted = int(stats["accepted"])
    reviewed = accepted + sum(reasons.get(reason, 0) for reason in at("gate"))
    found = right_of_accepted(probe, accepted, reviewed)
    auc = {model: entry["auc"] for model, entry in probe["models"].items()}
    return {"words": in_words(found), "faults": probe["faults"], "auc": auc, "estimate": found}


def in_words(found: Mapping[str, Any] | None) -> str:
    """Return the estimate as text for the data card and the report."""
    if found is None:
        return "The probe did not measure the gate: the share of right samples among the accepted ones is unknown."
    right = found["right_of_accepted"]
    caution = (
        ""
        if found["basis"] == "on-policy"
        else " The probe used rule-made answers, which make the estimate optimistic."
    )
    if right is None:
        return "By its probe, the gate is no better than chance: the share of right samples among the accepted ones is unknown."
    share = f"{right['value']:.0%} [{right['low']:.0%}, {right['high']:.0%}]"
    return f"Estimated share of right samples among the accepted ones, by the probe of the committee: {share}.{caution}"
