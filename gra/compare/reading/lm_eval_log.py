"""Reads the logs that lm-eval itself wrote, so that evaluations made without this project can be compared item by item.

`lm_eval --log_samples --output_path DIR` writes DIR/MODEL/results_DATE.json and, for every task,
samples_TASK_DATE.jsonl. Each line of a samples file is one item, scored by one filter of lm-eval: doc_id, doc_hash,
prompt_hash, filter, the names of the metrics, and their values.

- The score is the first metric with all values between 0 and 1, unless `metric` names another metric, e.g. acc_norm.
- The first filter in the file gives the strict scores. A second filter, if there is one, gives the tolerant scores
  (gsm8k has strict-match and flexible-extract).
- A group (mmlu, bbh) is one benchmark; its tasks are clusters of items, as in this project's suites.
- The items of two runs are matched by task, doc_id and the hash of the document. So runs on different versions of the
  data are an error.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gra.compare.reading.scores import Items, Scores, TaskScore
from gra.errors import EvalError
from gra.fileio import read_json

DATED = re.compile(r"^(?P<kind>samples|results)_(?:(?P<task>.+)_)?(?P<date>\d{4}-\d\d-\d\dT[\d.:-]+)\.jsonl?$")


@dataclass(frozen=True)
class Line:
    """The score of one item of a task, by one filter of lm-eval. `value`: the score. `document`: the hash of the item's
    text."""

    doc_id: str
    document: str
    prompt: str
    value: float


def is_log(path: Path) -> bool:
    """Return whether `path` holds scores that lm-eval logged. Such a path is a results file, or a folder with logged
    samples. The samples may lie in a subfolder."""
    if path.is_file():
        found = DATED.match(path.name)
        return found is not None and found["kind"] == "results"
    return path.is_dir() and any(
        True for pattern in ("samples_*.jsonl", "*/samples_*.jsonl") for _ in path.glob(pattern)
    )


def load(path: Path, metric: str | None = None) -> Scores:
    """Return the scores that lm-eval logged in `path`.

    `path`: the folder of the logs. If the folder holds several evaluations, give the results file of one of them
    instead. `metric`: the metric that gives the score. None means the first metric whose values are all between 0 and
    1.

    Raises EvalError if the logs are damaged, hold several evaluations, or hold no score between 0 and 1.
    """
    results, files = _files(path)
    parents = _parents(results.get("group_subtasks"))
    parts: dict[str, dict[str, Path]] = {}
    for task, file in files.items():
        parts.setdefault(_top(task, parents), {})[task] = file
    tasks: dict[str, TaskScore] = {}
    items: dict[str, Items] = {}
    for name, members in parts.items():
        tasks[name], items[name] = _benchmark(name, members, results, metric)
    return Scores(tasks, items, simulated=False)


# -- files ------------------------------------------------------------------------------------------------------------


def _files(path: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    """The content of the results file ({} where there is none) and the file of every task."""
    folder, date = (path.parent, _date(path)) if path.is_file() else (_folder(path), None)
    dated: dict[str, dict[str, Path]] = {}
    for file in sorted(folder.glob("samples_*.jsonl")):
        found = DATED.match(file.name)
        if found is not None and found["task"]:
            dated.setdefault(found["date"], {})[found["task"]] = file
    if date is None and len(dated) > 1:
        several = ", ".join(file.name for file in sorted(folder.glob("results_*.json"))) or ", ".join(sorted(dated))
        raise EvalError(f"{folder} holds {len(dated)} evaluations\n    -> give one of its files: {several}")
    chosen = date or next(iter(dated), "")
    if chosen not in dated:
        raise EvalError(f"{folder}: no samples of {path.name}\n    -> run lm_eval with --log_samples")
    results = folder / f"results_{chosen}.json"
    try:
        content = read_json(results) if results.exists() else {}
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise EvalError(f"{results} cannot be read ({error})\n    -> run lm_eval again") from error
    return content if isinstance(content, dict) else {}, dated[chosen]


def _folder(path: Path) -> Path:
    """The folder with the samples: `path`, or the only folder in `path` that has samples. Raises EvalError if there are
    several such folders, or none."""
    if any(True for _ in path.glob("samples_*.jsonl")):
        return path
    found = sorted({file.parent for file in path.glob("*/samples_*.jsonl")})
    if len(found) != 1:
        listed = ", ".join(str(one) for one in found) or "none"
        raise EvalError(
            f"{path}: the logs of one model are expected, found {len(found)} ({listed})\n    -> give one of them"
        )
    return found[0]


def _date(path: Path) -> str:
    found = DATED.match(path.name)
    assert found is not None  # is_log
    return found["date"]


def _parents(groups: Any) -> dict[str, str]:
    """Task or group -> the group that it is in."""
    if not isinstance(groups, Mapping):
        return {}
    return {
        str(child): str(group) for group, children in groups.items() if isinstance(children, list) for child in children
    }


def _top(task: str, parents: Mapping[str, str]) -> str:
    seen = {task}
    while (above := parents.get(task)) is not None and above not in seen:
        seen.add(above)
        task = above
    return task


# -- one benchmark ----------------------------------------------------------------------------------------------------


def _benchmark(
    name: str, members: Mapping[str, Path], results: Mapping[str, Any], metric: str | None
) -> tuple[TaskScore, Items]:
    strict: list[Line] = []
    tolerant: list[Line] = []
    clusters: list[str] = []
    used: dict[str, None] = {}
    for task, file in members.items():
        chosen, readings = _readings(file, metric)
        used[chosen] = None
        first, *rest = readings
        prefix = f"{task}:" if len(members) > 1 else ""
        strict += [Line(prefix + one.doc_id, one.document, one.prompt, one.value) for one in first]
        clusters += [task] * len(first)
        if rest:
            other = {one.doc_id: one.value for one in rest[0]}
            tolerant += [
                Line(prefix + one.doc_id, one.document, one.prompt, other[one.doc_id])
                for one in first
                if one.doc_id in other
            ]
    correct = np.array([one.value for one in strict])
    more = np.array([one.value for one in tolerant]) if len(tolerant) == len(strict) else None
    shots = (results.get("n-shot") or {}).get(next(iter(members)))
    score = TaskScore(
        n=len(strict),
        value=float(correct.mean()),
        tolerant=None if more is None else float(more.mean()),
        metric=", ".join(used),
        group=name,
        how={"metric": ", ".join(used)} | ({} if shots is None else {"shots": shots}),
    )
    found = Items(
        doc_ids=tuple(one.doc_id for one in strict),
        correct=correct,
        tolerant=more,
        extracted=None,
        clusters=tuple(clusters) if len(members) > 1 else None,
        answers=tuple(one.document for one in strict),
        prompts=tuple(one.prompt for one in strict) if all(one.prompt for one in strict) else (),
    )
    return score, found


def _readings(file: Path, metric: str | None) -> tuple[str, list[list[Line]]]:
    """The metric's name, and one list of items for each filter, in the order of the file."""
    by_filter: dict[str, list[dict[str, Any]]] = {}
    for number, line in enumerate(_lines(file), 1):
        try:
            row = json.loads(line)
            by_filter.setdefault(str(row.get("filter", "none")), []).append({**row, "doc_id": str(row["doc_id"])})
        except (json.JSONDecodeError, KeyError, AttributeError, TypeError) as error:
            raise EvalError(f"{file}, line {number}: no logged sample ({error!r})\n    -> run lm_eval again") from error
    if not by_filter:
        raise EvalError(f"{file}: no samples\n    -> run lm_eval again")
    chosen = _metric(file, next(iter(by_filter.values())), metric)
    readings = []
    for name, rows in by_filter.items():
        own = [
            Line(row["doc_id"], _hash(row), str(row.get("prompt_hash") or ""), _share(row.get(chosen))) for row in rows
        ]
        bad = sum(math.isnan(one.value) for one in own)
        if bad:
            raise EvalError(
                f"{file}: {bad} of {len(own)} values of {chosen} ({name}) are missing or outside 0..1\n    -> run lm_eval again"
            )
        if len({one.doc_id for one in own}) != len(own):
            raise EvalError(f"{file}: an item occurs more than once under the filter {name}\n    -> run lm_eval again")
        readings.append(own)
    return chosen, readings


_LEAVE_OUT = "\n    -> leave this task's file out of the folder, or evaluate the task with such a metric"


def _metric(file: Path, rows: Sequence[Mapping[str, Any]], wanted: str | None) -> str:
    """Return the name of the metric `wanted`, or else of the first metric, that is usable: all its values are between 0
    and 1. Raises EvalError if no metric is usable."""
    names = [str(name) for name in rows[0].get("metrics", []) if isinstance(name, str)]
    usable = [name for name in names if not any(math.isnan(_share(row.get(name))) for row in rows)]
    if wanted in usable:
        return str(wanted)
    if not usable:
        raise EvalError(
            f"{file}: no metric gives each item one value from 0 to 1; it has {', '.join(names) or 'none'}{_LEAVE_OUT}"
        )
    return usable[0]


def _hash(row: Mapping[str, Any]) -> str:
    return str(row.get("doc_hash") or row.get("target_hash") or row.get("target"))


def _share(value: Any) -> float:
    """A value from 0 to 1 as a float; NaN for anything else."""
    if isinstance(value, bool):
        return float(value)
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else math.nan


def _lines(file: Path) -> Iterable[str]:
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise EvalError(f"{file} cannot be read ({error})\n    -> run lm_eval again") from error
