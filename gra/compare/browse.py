"""Picks the samples to browse in the report, some kept and some rejected, each with its checks, reviews and outcome.

Models wrote their texts: this module caps their length, the template escapes them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gra.compare import data
from gra.compare.arms import Arm

DIMENSIONS = ("correctness", "clarity", "completeness", "relevance", "coherence", "ethicality")
TEXT_CAP, NOTE_CAP, FEW = 4000, 1200, 40  # characters of an instruction or response, a remark, a name


@dataclass(frozen=True)
class Review:
    """Scores in the order of DIMENSIONS (None: missing or not requested), the overall score, and the written remarks."""

    model: str
    scores: tuple[float | None, ...]
    score: float | None
    strengths: str
    weaknesses: str
    missing: str


@dataclass(frozen=True)
class Check:
    """One reviewer's yes/no verdicts on the instruction; empty where they are missing."""

    model: str
    verdicts: tuple[tuple[str, bool], ...]
    comment: str
    missing: str


@dataclass(frozen=True)
class Browsed:
    """One sample as the report shows it. `reason` is empty for kept samples."""

    id: str
    kept: bool
    round: int | None
    domain: str
    decision: str
    reason: str
    detail: str
    generator: str
    reviewers: tuple[str, ...]
    adjudicator: str
    annotator: str
    keywords: tuple[str, ...]
    instruction: str
    response: str
    checks: tuple[Check, ...]
    reviews: tuple[Review, ...]
    adjudication: Review | None
    mean: float | None
    std: float | None


def pick(arm: Arm, count: int) -> list[Browsed]:
    """Up to `count` samples of the arm, about half of them kept and half rejected.

    Decisions and reasons take turns, so rare ones appear too. Within one, samples are sorted by the hash of their id: an
    arbitrary but stable order.
    """
    tables = [
        data.read_table(arm.file("data", "data", "train.parquet")),
        data.read_table(arm.file("data", "rejected.parquet")),
    ]
    fates = [_fates(table, key) for table, key in zip(tables, ("decision", "reason"), strict=True)]
    kept = min(len(fates[0]), max(count - count // 2, count - len(fates[1])))
    chosen = []
    for table, order, wanted, is_kept in zip(tables, fates, (kept, count - kept), (True, False), strict=True):
        # Table.take would import pandas; slices do not.
        chosen += [_browsed(table.slice(row, 1).to_pylist()[0], is_kept) for row in order[:wanted] if table is not None]
    return chosen


def _fates(table: Any, key: str) -> list[int]:
    """Row numbers in the order of picking: one row per decision or reason in turn."""
    if table is None or not table.num_rows:
        return []
    ids = table["id"].to_pylist() if "id" in table.column_names else list(range(table.num_rows))
    fates = table[key].to_pylist() if key in table.column_names else [""] * table.num_rows
    groups: dict[str, list[tuple[str, int]]] = {}
    for row, (sample, fate) in enumerate(zip(ids, fates, strict=True)):
        groups.setdefault(str(fate), []).append((hashlib.sha256(str(sample).encode()).hexdigest(), row))
    queue = [(turn, fate, row) for fate, found in groups.items() for turn, (_, row) in enumerate(sorted(found))]
    return [row for _, _, row in sorted(queue)]


def _browsed(row: Mapping[str, Any], kept: bool) -> Browsed:
    adjudication = _parsed(row, "adjudication_json") or row.get("adjudication")
    return Browsed(
        id=_text(row.get("id"), FEW * 2),
        kept=kept,
        round=row.get("round"),
        domain=_text(row.get("domain"), FEW),
        decision=_text(row.get("decision"), FEW),
        reason=_text(row.get("reason"), FEW),
        detail=_text(row.get("detail"), NOTE_CAP),
        generator=_text(row.get("generator"), FEW),
        reviewers=tuple(_text(n, FEW) for n in row.get("reviewers") or ()),
        adjudicator=_text(row.get("adjudicator"), FEW),
        annotator=_text(row.get("annotator"), FEW),
        keywords=tuple(_text(word, FEW) for word in row.get("keywords") or ()),
        instruction=_text(row.get("instruction"), TEXT_CAP),
        response=_text(row.get("response"), TEXT_CAP),
        checks=tuple(_check(c) for c in _mappings(_parsed(row, "checks_json"))),
        reviews=tuple(_review(r) for r in _mappings(_parsed(row, "reviews_json") or row.get("scores"))),
        adjudication=_review(adjudication) if isinstance(adjudication, Mapping) else None,
        mean=row.get("mean"),
        std=row.get("std"),
    )


def _review(raw: Mapping[str, Any]) -> Review:
    """From the JSON form ({model, scores: {...}, strengths, ...}) or the column form ({model, correctness, ..., score})."""
    nested = raw.get("scores")
    source = nested if isinstance(nested, Mapping) else raw
    given = raw.get("raw")  # of a calibrated review: the model's own scores
    values = tuple(_score((given if isinstance(given, Mapping) else source).get(name)) for name in DIMENSIONS)
    known = [value for value in values if value is not None]
    whole = _score(source.get("overall"))
    mean = sum(known) / len(known) if whole is None and len(known) == len(values) else whole
    return Review(
        model=_text(raw.get("model"), FEW),
        scores=values,
        score=mean,
        strengths=_text(raw.get("strengths"), NOTE_CAP),
        weaknesses=_text(raw.get("weaknesses"), NOTE_CAP),
        missing=_text(raw.get("missing"), NOTE_CAP),
    )


def _check(raw: Mapping[str, Any]) -> Check:
    verdicts = raw.get("verdicts")
    pairs = tuple((_text(k, FEW), v is True) for k, v in verdicts.items()) if isinstance(verdicts, Mapping) else ()
    return Check(
        _text(raw.get("model"), FEW), pairs, _text(raw.get("comment"), NOTE_CAP), _text(raw.get("missing"), NOTE_CAP)
    )


def _score(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def _parsed(row: Mapping[str, Any], column: str) -> Any:
    """A JSON column's value; None where the column is absent, null or not JSON."""
    text = row.get(column)
    if not isinstance(text, str):
        return None
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return None


def _mappings(value: Any) -> Sequence[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def _text(value: Any, cap: int) -> str:
    """`value` as text of at most `cap` characters, with a note where it was cut; "" for None."""
    text = "" if value is None else str(value)
    return text if len(text) <= cap else f"{text[:cap]} [cut: {len(text) - cap:,} more characters]"
