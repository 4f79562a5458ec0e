"""Packs the samples of a data folder into the report. If not all of them fit, a reproducible selection is packed.

A page holds the samples as gzip in base64, which report.js unpacks; so a page with thousands of samples stays below 5
MB. Kept samples are grouped by the committee's decision and dropped ones by the reason of the drop. The selection takes
one sample of each group in turn until the space is used up, so that rare decisions and reasons are in it. Within a
group, samples are taken in the order of their ids' hashes. The page says how many samples it holds, and how many there
are.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gra import databases
from gra.compare.arms import Arm
from gra.compare.reading import data
from gra.compare.report.browse import COLUMNS, FEW, browsed, number, text

MOST_ROWS = 8_000  # samples in a page, regardless of their size
WINDOW = 20_000  # rows of a larger table that are read, in evenly spaced groups
ROWS_SIZE, CALLS_SIZE = 2_300_000, 500_000  # compressed bytes of the samples, and of their prompts and replies
MOST_PROMPTED = 200  # samples whose prompts and replies are in the page
CALL_CAP = 12_000  # characters of a prompt or a reply
FLUSH = 32_768  # after so many bytes the compressor is flushed, which makes the compressed size exact
JOURNAL = "journal.sqlite"
Judge = Callable[[str, str], bool | None]  # (instruction, response) -> whether the response is right; None: unknown


@dataclass(frozen=True)
class Packed:
    """The samples in a page, compressed.

    `rows`: a JSON list of the samples, as gzip in base64. `calls`: a JSON list, also as gzip in base64. It has pairs of
    a sample's id and the list of the model calls for this sample. `shown`: the number of samples in `rows`. `prompted`:
    the number of samples in `calls`. The samples in `calls` are taken from the beginning of `rows`. `total`: the number
    of samples in the data folder. `judged`: whether it is known, from an audit or a simulation, which kept samples are
    wrong.
    """

    rows: str
    calls: str
    shown: int
    total: int
    prompted: int
    judged: bool


def pack(arm: Arm, most: int | None, judge: Judge | None = None) -> Packed | None:
    """Return the samples of the arm's data folder, packed for a page. Return None if the folder has no samples.

    `most`: the maximum number of samples. None means as many as fit. `judge`: a function that says whether a response
    is right. It is used if the data were not audited.
    """
    tables = [_window(arm.file("data", *parts)) for parts in (("data", "train.parquet"), ("rejected.parquet",))]
    total = sum(rows for _, rows in tables)
    limit = MOST_ROWS if most is None else min(most, MOST_ROWS)
    if not total or not limit:
        return None
    wrong = _truth(arm)
    order = _order([table for table, _ in tables])[:limit]
    taken: list[str] = []
    judged = wrong is not None

    def lines() -> Iterator[str]:
        nonlocal judged
        for kept, row in order:
            table = tables[0 if kept else 1][0]
            found = table.slice(row, 1).to_pylist()[0]  # Table.take would import pandas; slices do not
            verdict = _wrong(found, wrong, judge) if kept else None
            judged = judged or verdict is not None
            yield json.dumps(browsed(found, kept=kept, wrong=verdict), ensure_ascii=False, separators=(",", ":"))
            taken.append(str(found.get("id")))

    rows, shown = packed(lines(), ROWS_SIZE)
    folder = arm.folders["data"]
    calls, prompted = packed(_calls(folder / JOURNAL, taken[: min(shown, MOST_PROMPTED)]), CALLS_SIZE)
    return Packed(rows, calls if prompted else "", shown, total, prompted, judged)


def packed(lines: Iterable[str], size: int) -> tuple[str, int]:
    """Pack JSON texts into one JSON list, as gzip in base64. Return the packed list and the number of texts in it.
    Texts are added until the list has about `size` compressed bytes."""
    squeeze = zlib.compressobj(6, zlib.DEFLATED, 31)
    parts, count, long, pending = [squeeze.compress(b"[")], 0, 0, 0
    for line in lines:
        raw = ("," if count else "").encode() + line.encode("utf-8", "replace")
        if long + (pending + len(raw)) // 4 > size:  # pending bytes are assumed to shrink to a quarter
            break
        parts.append(squeeze.compress(raw))
        pending += len(raw)
        if pending > FLUSH:
            parts.append(squeeze.flush(zlib.Z_SYNC_FLUSH))
            pending = 0
        long += len(parts[-1]) if pending else len(parts[-1]) + len(parts[-2])
        count += 1
    parts += [squeeze.compress(b"]"), squeeze.flush()]
    return base64.b64encode(b"".join(parts)).decode(), count


def _window(path: Path | None) -> tuple[Any, int]:
    """The rows of a table from which samples are chosen, and the number of all its rows; None and 0 if there is no
    file."""
    file = data.open_table(path)
    if file is None:
        return None, 0
    count = file.metadata.num_rows
    step = max(1, -(-count // WINDOW))
    groups = list(range(0, file.num_row_groups, step))
    names = [name for name in COLUMNS if name in file.schema_arrow.names]
    if "reviews_json" in names and "scores" in names:
        names.remove("scores")
    return data.read_groups(path, file, groups, names), count


def _order(tables: Sequence[Any]) -> list[tuple[bool, int]]:
    """(kept, row) in the order of picking: one of each decision and reason in turn."""
    queue: list[tuple[int, bool, str, int]] = []
    for table, kept in zip(tables, (True, False), strict=True):
        if table is None or not table.num_rows:
            continue
        key = "decision" if kept else "reason"
        ids = table["id"].to_pylist() if "id" in table.column_names else list(range(table.num_rows))
        fates = table[key].to_pylist() if key in table.column_names else [""] * table.num_rows
        groups: dict[str, list[tuple[str, int]]] = {}
        for row, (sample, fate) in enumerate(zip(ids, fates, strict=True)):
            digest = hashlib.blake2b(str(sample).encode("utf-8", "replace"), digest_size=8).hexdigest()
            groups.setdefault(str(fate), []).append((digest, row))
        for fate, found in groups.items():
            queue += [(turn, not kept, fate, row) for turn, (_, row) in enumerate(sorted(found))]
    return [(not dropped, row) for _, dropped, _, row in sorted(queue)]


def _truth(arm: Arm) -> dict[str, bool | None] | None:
    """Return the audit's verdicts by sample id: True if the sample is wrong, None if the audit cannot tell. The audit
    found the samples without an entry to be right. Return None if the data were not audited."""
    found = data.read_object(arm.file("audit", "audit.json")) or {}
    named = {key: found.get(key) for key in ("wrong_ids", "unknown_ids")}
    if not all(isinstance(ids, list) for ids in named.values()):
        return None
    return {str(i): True for i in named["wrong_ids"] or ()} | {str(i): None for i in named["unknown_ids"] or ()}


def _wrong(row: Mapping[str, Any], truth: dict[str, bool | None] | None, judge: Judge | None) -> bool | None:
    if truth is not None:
        return truth.get(str(row.get("id")), False)
    if judge is None:
        return None
    right = judge(str(row.get("instruction") or ""), str(row.get("response") or ""))
    return None if right is None else not right


def _calls(journal: Path, samples: Sequence[str]) -> Iterator[str]:
    """Yield [sample, its calls] as JSON, oldest call first; nothing if the journal cannot be read (`gra inspect` says
    why)."""
    if not journal.is_file():
        return
    query = "SELECT step, role, model, attempt, request, text, error FROM calls WHERE sample = ? ORDER BY at, role"
    try:
        with closing(databases.connect_readonly(journal)) as connection:
            for sample in samples:
                calls = [_call(*row) for row in connection.execute(query, (sample,))]
                yield json.dumps([sample, calls], ensure_ascii=False, separators=(",", ":"))
    except (sqlite3.Error, OSError):
        return


def _call(
    step: str, role: str, model: str, attempt: int, request: str, reply: str, error: str | None
) -> dict[str, Any]:
    try:
        asked = json.loads(request)
        messages = [
            [text(one.get("role"), FEW), text(one.get("content"), CALL_CAP)] for one in asked.get("messages") or []
        ]
    except (ValueError, AttributeError):
        messages = []
    return {
        "step": text(step, FEW),
        "role": text(role, FEW),
        "model": text(model, FEW),
        "attempt": number(attempt),
        "messages": messages,
        "reply": text(error if error else reply, CALL_CAP),
        "refused": bool(error),
    }
