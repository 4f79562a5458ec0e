"""What an evaluation made of the canned replies, against what the table of wordings expects: item by item, and in scores.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from canned_items import Item
from following import checked


@dataclass
class Sums:
    """Of one benchmark: items, and how many are expected strictly right, tolerantly right, and with an answer extracted."""

    n: int = 0
    strict: int = 0
    tolerant: int = 0
    extraction: int = 0


@dataclass
class Verdict:
    """`faults`: items whose row is not as expected, with what differs."""

    sums: dict[str, Sums] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def judged(output: Path, known: Mapping[str, Sequence[Item]], mode: str) -> Verdict:
    """Compare an evaluation's folder with the expectations for the replies of the model `mode`, item by item of those asked."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in pq.read_table(output / "samples.parquet").to_pylist():
        rows.setdefault(_leaf(row["task"], row["subtask"]), []).append(row)
    asked: dict[str, list[Item]] = {}
    for item in (item for several in known.values() for item in several):
        asked.setdefault(item.leaf, []).append(item)
    found = Verdict()
    for leaf, every in asked.items():
        if leaf not in rows:
            found.faults.append(f"{leaf}: no rows")
            continue
        mine = [every[place] for place in _places(output / "samples" / f"{rows[leaf][0]['subtask']}.jsonl")]
        if len(rows[leaf]) != len(mine):
            found.faults.append(f"{leaf}: {len(rows[leaf])} rows, not {len(mine)}")
            continue
        for item, row in zip(mine, rows[leaf], strict=True):
            expected = item.expected(mode)
            if -1 in expected:
                expected = (*checked(item.doc, row["reply"]), expected[2])
            got = (row["correct"], row["correct_tolerant"], int(row["extracted"] is not None))
            if got != expected:
                shown = {key: row[key] for key in ("reply", "extracted", "extracted_tolerant", "answer")}
                found.faults.append(
                    f"{leaf} {row['doc_id']}: {got}, not {expected}: {json.dumps(shown, ensure_ascii=False)[:700]}"
                )
            sums = found.sums.setdefault(item.task, Sums())
            sums.n += 1
            sums.strict, sums.tolerant = sums.strict + expected[0], sums.tolerant + expected[1]
            sums.extraction += expected[2]
    return found


def _places(path: Path) -> list[int]:
    """Where the items that were asked stand in their file, in the order of the rows."""
    with path.open(encoding="utf-8") as lines:
        samples = [json.loads(line) for line in lines]
    return [sample["doc_id"] for sample in samples if sample["filter"] == samples[0]["filter"]]


def in_scores(sums: Mapping[str, Sums], scores: Mapping[str, Any]) -> list[str]:
    """Where the numbers of scores.json are not those of the expected sums: tasks and the mean over all."""
    faults = []
    for task, mine in sums.items():
        score, n = scores["tasks"][task], mine.n
        expected = {"n": n, "value": mine.strict / n, "tolerant": mine.tolerant / n, "extraction": mine.extraction / n}
        faults += [
            f"{task}.{key}: {score[key]}, not {value}"
            for key, value in expected.items()
            if abs(score[key] - value) > 1e-12
        ]
    whole = set(sums) == set(scores["tasks"])
    for key, name in (("value", "strict"), ("tolerant", "tolerant"), ("extraction", "extraction")):
        mean = sum(getattr(mine, name) / mine.n for mine in sums.values()) / len(sums) if whole else None
        told = scores["mean"][key]
        if (told is None) != (mean is None) or (mean is not None and abs(told - mean) > 1e-12):
            faults.append(f"mean.{key}: {told}, not {mean}")
    return faults


def _leaf(task: str, subtask: str) -> str:
    return subtask.removeprefix(f"{task}_") if subtask != task else task
