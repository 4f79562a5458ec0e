"""PURE: formats the result of a probe (probe.json) for the report. A probe measures how well each model reviews answers
that are known to be right or wrong. The report shows sentences on the findings and a line per model; a missing or
invalid value is "-"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gra.compare.report.browse import FEW, NOTE_CAP, number, text
from gra.compare.tables.numbers import MISSING

FIGURES = {  # heading -> key of a model's result
    "Usable reviews": "usable",
    "AUC": "auc",
    "Right answers passed": "sensitivity",
    "Wrong answers refused": "specificity",
    "Severity": "severity",
    "Preference for its own family": "preference",
}
HEADINGS = ("Model", *FIGURES)
MOST = 30  # most models that are shown, and most sentences


def probe(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the table rows and sentences that the report shows on a probe. A probe measures how well each model
    reviews answers that are known to be right or wrong. Return None if the probe's result is not valid. `found`: the
    content of probe.json."""
    models, words, faults = (found.get(key) for key in ("models", "words", "faults"))
    if not isinstance(models, Mapping):
        return None
    lines = [
        (text(name, FEW), *(_estimate(one.get(key)) for key in FIGURES.values()))
        for name, one in list(models.items())[:MOST]
        if isinstance(one, Mapping)
    ]
    return {"lines": lines, "words": _texts(words), "faults": _texts(faults)}


def _texts(found: Any) -> list[str]:
    return [text(words, NOTE_CAP) for words in found[:MOST]] if isinstance(found, list) else []


def _estimate(found: Any) -> str:
    """ "0.67 [0.61, 0.72]"; a value without an interval stands alone."""
    if not isinstance(found, Mapping):
        value = number(found)
        return MISSING if value is None else f"{value:.2f}"
    value, low, high = (number(found.get(key)) for key in ("value", "low", "high"))
    if value is None:
        return MISSING
    return f"{value:.2f}" + ("" if low is None or high is None else f" [{low:.2f}, {high:.2f}]")
