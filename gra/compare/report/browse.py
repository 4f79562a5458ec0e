"""PURE: prepares a row of a data folder for the report's list of samples: models, checks, reviews and outcome.

Models wrote the texts, so they are not trusted: this module limits their length and returns them for JSON, and the page
shows them only as text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

DIMENSIONS = ("correctness", "clarity", "completeness", "relevance", "coherence", "ethicality")
TEXT_CAP, NOTE_CAP, FEW = 4000, 1200, 40  # most characters of: an instruction or response; a remark; a name
COLUMNS = (  # what is read of a data folder's tables
    *("id", "instruction", "response", "domain", "keywords", "round", "generator", "reviewers", "adjudicator"),
    *("annotator", "scores", "adjudication", "mean", "std", "decision", "reason", "detail"),
    *("reviews_json", "checks_json", "adjudication_json"),
)


def browsed(row: Mapping[str, Any], *, kept: bool, wrong: bool | None = None) -> dict[str, Any]:
    """Return a row of a data folder as a JSON object with the keys that report.js reads.

    `wrong`: whether the sample's response is wrong. Only a simulation knows this, because it has the right answers.
    None means unknown. A review or an adjudication becomes an object with the keys model, scores, score, strengths,
    weaknesses and missing. Its `scores` are in the order of DIMENSIONS. A score that is missing or was not requested is
    None.
    """
    adjudication = _parsed(row, "adjudication_json") or row.get("adjudication")
    return {
        "id": text(row.get("id"), FEW * 2),
        "kept": kept,
        "wrong": wrong,
        "round": row.get("round"),
        "domain": text(row.get("domain"), FEW),
        "decision": text(row.get("decision"), FEW) if kept else "",
        "reason": "" if kept else text(row.get("reason"), FEW),
        "detail": text(row.get("detail"), NOTE_CAP),
        "generator": text(row.get("generator"), FEW),
        "reviewers": [text(name, FEW) for name in row.get("reviewers") or ()],
        "adjudicator": text(row.get("adjudicator"), FEW),
        "annotator": text(row.get("annotator"), FEW),
        "keywords": [text(word, FEW) for word in row.get("keywords") or ()],
        "instruction": text(row.get("instruction"), TEXT_CAP),
        "response": text(row.get("response"), TEXT_CAP),
        "checks": [_check(entry) for entry in _mappings(_parsed(row, "checks_json"))],
        "reviews": [_review(entry) for entry in _mappings(_parsed(row, "reviews_json") or row.get("scores"))],
        "adjudication": _review(adjudication) if isinstance(adjudication, Mapping) else None,
        "mean": number(row.get("mean")),
        "std": number(row.get("std")),
    }


def _review(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A review, from its JSON form ({model, scores: {...}, strengths, ...}) or its column form ({model, correctness,
    ..., score})."""
    nested = raw.get("scores")
    source = nested if isinstance(nested, Mapping) else raw
    given = raw.get("raw")  # of a calibrated review: the model's own scores
    values = [number((given if isinstance(given, Mapping) else source).get(name)) for name in DIMENSIONS]
    known = [value for value in values if value is not None]
    whole = number(source.get("overall"))
    mean = sum(known) / len(known) if whole is None and len(known) == len(values) else whole
    remarks = {key: text(raw.get(key), NOTE_CAP) for key in ("strengths", "weaknesses", "missing")}
    return {"model": text(raw.get("model"), FEW), "scores": values, "score": mean, **remarks}


def _check(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A check of the instruction: the model, its yes/no verdicts ([] if they are missing), and its remarks."""
    verdicts = raw.get("verdicts")
    pairs = (
        [[text(key, FEW), value is True] for key, value in verdicts.items()] if isinstance(verdicts, Mapping) else []
    )
    remarks = {key: text(raw.get(key), NOTE_CAP) for key in ("comment", "missing")}
    return {"model": text(raw.get("model"), FEW), "verdicts": pairs, **remarks}


def number(value: Any) -> float | None:
    """Return `value` if it is a finite number, else None."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def text(value: Any, cap: int) -> str:
    """Return `value` as text, cut after `cap` characters. If the text is cut, a note at its end says so. None becomes
    ""."""
    found = "" if value is None else str(value)
    return found if len(found) <= cap else f"{found[:cap]} [cut: {len(found) - cap:,} more characters]"


def _parsed(row: Mapping[str, Any], column: str) -> Any:
    """A JSON column's value; None where the column is absent, null or not JSON."""
    found = row.get(column)
    if not isinstance(found, str):
        return None
    try:
        return json.loads(found)
    except (json.JSONDecodeError, RecursionError):
        return None


def _mappings(value: Any) -> Sequence[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []
