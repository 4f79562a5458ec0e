"""Writes the data folder: data/train.parquet, rejected.parquet, stats.json, README.md (the data card) and, if the
models were simulated, a file SIMULATED.

`datasets.load_dataset(FOLDER)` or `load_dataset("parquet", data_files=FOLDER/data/train.parquet)` opens it. The same outcomes
give the same bytes: rows are sorted by round and index, writer options are fixed, and there are no timestamps.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.errors import StoreError
from gra.fileio import atomic_path, write_json, write_text
from gra.synthesis.committee.gate import passed_gate
from gra.synthesis.committee.records import DIMENSIONS, Check, Outcome, Review
from gra.synthesis.output.card import CardInfo, card_text
from gra.wellformed import well_formed

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CardInfo", "Writer", "write_dataset", "write_rows"]

SIMULATED = (
    "Made by simulated language models of a closed world (gra.simulation): no real model wrote or judged these texts.\n"
)
ROW_GROUP = 1_000  # rows in memory at once


def write_dataset(
    output: Path,
    kept: Iterable[Outcome],
    rejected: Iterable[Outcome],
    stats: Mapping[str, Any],
    card: CardInfo,
    decision: str | None = None,
) -> None:
    """Write the files of a data folder, each one completely or not at all. Raises StoreError if two samples have the
    same id, and OSError if a file cannot be written.

    If `kept` or `rejected` is a list, it is first sorted by round and then by index. Any other iterable (outcomes on
    disk) is written in its own order, without loading all of it into memory. `decision`: a text for the column
    `decision`, the same for all kept samples. If it is None, the column holds each sample's own decision, such as
    "accepted".
    """
    ids: set[str] = set()
    rows = (row(o) | ({"decision": decision} if decision else {}) for o in _once(kept, ids, output))
    fractions = card.settings.get("scoring") == "probability"
    _write_parquet(output / "data" / "train.parquet", rows, schema(fractions=fractions))
    dropped = (row(o) | {"reason": o.reason, "detail": o.detail} for o in _once(rejected, ids, output))
    _write_parquet(output / "rejected.parquet", dropped, schema(rejected=True, fractions=fractions))
    _write_texts(output, stats, card)


def write_rows(output: Path, kept: pa.Table, rejected: pa.Table, stats: Mapping[str, Any], card: CardInfo) -> None:
    """Write the files of a data folder from two tables. The columns of the tables must be those of `schema`. Raises
    OSError if a file cannot be written."""
    for name, table in (("data/train.parquet", kept), ("rejected.parquet", rejected)):
        rows = (row for batch in table.to_batches(ROW_GROUP) for row in batch.to_pylist())
        _write_parquet(output / name, rows, table.schema.remove_metadata())
    _write_texts(output, stats, card)


def _write_texts(output: Path, stats: Mapping[str, Any], card: CardInfo) -> None:
    write_json(output / "stats.json", dict(stats))
    if card.simulated:
        write_text(output / "SIMULATED", SIMULATED)
    write_text(output / "README.md", card_text(card, stats, _first(output / "data" / "train.parquet")))


def _first(path: Path) -> dict[str, Any] | None:
    """Return the first row of a table; None if the table is empty."""
    import pyarrow.parquet as pq

    batch = next(pq.ParquetFile(path).iter_batches(1), None)
    rows: list[dict[str, Any]] = batch.to_pylist() if batch is not None else []
    return rows[0] if rows else None


class Writer:
    """Runs `write_dataset` in a worker process (gra/worker_process.py). So the 100 MB that pyarrow takes are not part
    of the calling process's memory."""

    def write(self, *arguments: Any) -> None:
        """Call `write_dataset` with `arguments`. This method runs in the worker process."""
        write_dataset(*arguments)


def row(outcome: Outcome) -> dict[str, Any]:
    """Return one sample as a row of the parquet files. If the sample was dropped before a step of the pipeline (such as
    the review), the columns that this step would fill are null, or hold an empty list or text."""
    o = outcome
    turns = [{"role": "user", "content": o.instruction}, {"role": "assistant", "content": o.response}]
    decision = "rejected"
    if passed_gate(o):
        decision = "adjudicated" if o.adjudicated else "accepted" if o.reviews else "unreviewed"
    return {
        "id": o.id,
        "instruction": o.instruction,
        "response": o.response,
        "messages": turns if o.instruction and o.response else [],
        "domain": o.domain or None,
        "keywords": list(o.keywords),
        "summary": o.summary,
        "round": o.round,
        "generator": o.roles.generator or None,
        "reviewers": list(o.roles.reviewers),
        "adjudicator": o.roles.adjudicator,
        "annotator": o.roles.annotator or None,
        "scores": [_scores(review) for review in o.reviews],
        "adjudication": None if o.adjudication is None else _scores(o.adjudication),
        "mean": o.mean,
        "std": o.std,
        "decision": decision,
        "parents": list(o.parents),
        "reviews_json": _json([_review(review) for review in o.reviews]),
        "checks_json": _json([_check(check) for check in o.checks]),
        "adjudication_json": None if o.adjudication is None else _json(_review(o.adjudication)),
    }


def schema(rejected: bool = False, fractions: bool = False) -> pa.Schema:
    """Return the Arrow schema of train.parquet, or that of rejected.parquet if `rejected` is true. The schema of
    rejected.parquet has two more columns, `reason` and `detail`.

    The column `scores` has one entry for each review. The entry has a field for each of the six dimensions, with the
    score that the reviewing model gave. These scores are whole numbers, or floats if `fractions` is true
    (synthesis.scoring=probability). They are null if the reviewing model was asked a single question
    (synthesis.questions=overall). The entry's field `score` is the mean of the scores that the reviewing model gave.
    This mean is calibrated if synthesis.calibrate is set.
    """
    import pyarrow as pa

    text, texts = pa.string(), pa.list_(pa.string())
    points = pa.float64() if fractions else pa.int64()
    scores = pa.struct([("model", text), *((name, points) for name in DIMENSIONS), ("score", pa.float64())])
    fields = [
        ("id", text),
        ("instruction", text),
        ("response", text),
        ("messages", pa.list_(pa.struct([("role", text), ("content", text)]))),
        ("domain", text),
        ("keywords", texts),
        ("summary", text),
        ("round", pa.int64()),
        ("generator", text),
        ("reviewers", texts),
        ("adjudicator", text),
        ("annotator", text),
        ("scores", pa.list_(scores)),
        ("adjudication", scores),
        ("mean", pa.float64()),
        ("std", pa.float64()),
        ("decision", text),
        ("parents", texts),
        ("reviews_json", text),
        ("checks_json", text),
        ("adjudication_json", text),
    ]
    return pa.schema(fields + ([("reason", text), ("detail", text)] if rejected else []))


def _once(outcomes: Iterable[Outcome], ids: set[str], output: Path) -> Iterator[Outcome]:
    """Yield the outcomes in order, and add their ids to `ids`. Raises StoreError for a repeated id."""
    for outcome in sorted(outcomes, key=lambda o: (o.round, o.index, o.id)) if isinstance(outcomes, list) else outcomes:
        if outcome.id in ids:
            raise StoreError(
                f"{output}: two samples have the id {outcome.id}\n    -> give the records distinct ids, or none"
            )
        ids.add(outcome.id)
        yield outcome


def _scores(review: Review) -> dict[str, Any]:
    given = review.raw or review.scores or {}
    return {"model": review.model, **{name: given.get(name) for name in DIMENSIONS}, "score": review.score}


def _review(review: Review) -> dict[str, Any]:
    found = {
        "model": review.model,
        "scores": review.scores,
        "strengths": review.strengths,
        "weaknesses": review.weaknesses,
        "missing": review.missing,
    }
    return found if review.raw is None else {**found, "raw": review.raw}


def _check(check: Check) -> dict[str, Any]:
    return {"model": check.model, "verdicts": check.verdicts, "comment": check.comment, "missing": check.missing}


def _json(value: Any) -> str:
    return json.dumps(well_formed(value), ensure_ascii=False, sort_keys=True)


def _write_parquet(path: Path, rows: Iterator[dict[str, Any]], form: pa.Schema) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    options = {"compression": "zstd", "compression_level": 3, "version": "2.6"}
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, form, **options) as writer:
        while group := [well_formed(entry) for entry in islice(rows, ROW_GROUP)]:
            writer.write_table(pa.Table.from_pylist(group, schema=form), row_group_size=ROW_GROUP)
