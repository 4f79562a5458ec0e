"""Reads an evaluation's `scores.json` and `samples.parquet` and checks them against each other."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gra.compare.statistics.item_scores import Floats, Outcomes, answers_differ
from gra.errors import EvalError
from gra.fileio import read_json
from gra.labels import quantized

TOLERANCE = 5e-4  # between a benchmark's value and the mean of its items; lm-eval may have rounded the value
COLUMNS = ("task", "doc_id", "cluster", "answer", "correct", "correct_tolerant", "extracted")
# What is scored item by item. "form" is strict minus tolerant: what the requested form costs (below zero) or gains.
KINDS = ("strict", "tolerant", "form", "extraction")
VERIFIED = "verified"  # `how.reading` of scores that are a verifier model's verdicts (`gra rescore --reading verified`)
_ELSEWHERE = ("template", "verifier")  # conditions that cautions.py reports
_AGAIN = "\n    -> run the evaluation again"
_ALTERED = f"the table and its intervals would disagree{_AGAIN}"


@dataclass(frozen=True)
class TaskScore:
    """The scores of one run on one benchmark, as numbers from 0 to 1.

    `n`: the number of items. `value`: the strict score, which counts a right answer only if it has the requested
    format. `tolerant`: the lenient score, which counts a right answer in any format that can be recognised.
    `extraction`: the fraction of replies with an answer in the requested format. If the benchmark was skipped because
    its data were missing, `n` is 0 and all scores are None. If the benchmark has no tolerant score (e.g. choices scored
    by log-likelihood), `tolerant` and `extraction` are None.
    """

    n: int
    value: float | None
    tolerant: float | None = None
    extraction: float | None = None
    stderr: float | None = None
    metric: str = ""
    group: str = ""
    how: Mapping[str, Any] = field(default_factory=dict)  # the conditions: what its score depends on besides the model
    at_limit: float | None = None  # share of replies truncated at the token limit; None: unknown
    fell_back: int = 0  # number of items without a verifier's verdict; they keep their tolerant score

    @property
    def reading(self) -> str:
        """The name of the rules by which replies were scored to compute `value`: strict, opencompass or VERIFIED."""
        return str(self.how.get("reading") or "strict")

    @property
    def verifier(self) -> str | None:
        """The name of the verifier model whose verdicts have the mean `value`. None if `value` was computed by
        rules."""
        return str(self.how.get("verifier") or "unnamed") if self.reading == VERIFIED else None


@dataclass(frozen=True)
class Items:
    """The items of one benchmark with their outcomes, in the order of the file from which they were read. A tolerant
    score counts right answers in any format that can be recognised. If the benchmark has no tolerant score, `tolerant`
    and `extracted` are None."""

    doc_ids: tuple[str, ...]
    correct: Floats
    tolerant: Floats | None
    extracted: Floats | None
    clusters: tuple[str, ...] | None
    answers: tuple[str, ...]
    prompts: tuple[str, ...] = ()  # hashes of the prompts; empty if an earlier version wrote the file

    def of(self, kind: str) -> Floats | None:
        """Return the outcome of every item for the kind of score `kind`, one of KINDS. Return None if the benchmark
        does not have this kind."""
        if kind == "form":
            return None if self.tolerant is None else self.correct - self.tolerant
        return {"strict": self.correct, "tolerant": self.tolerant, "extraction": self.extracted}[kind]


@dataclass(frozen=True)
class Scores:
    """The scores of one evaluated run. `tasks`: all its benchmarks by name. `items`: the items of each benchmark that
    was not skipped."""

    tasks: dict[str, TaskScore]
    items: dict[str, Items]
    simulated: bool
    quantized: str | None = None  # the label of the model's weights, if they were once quantised


def load(folder: Path) -> Scores:
    """Return the scores in the folder of an evaluation. If a file is missing, damaged or inconsistent, EvalError is
    raised. Its message names the file and the key."""
    path = folder / "scores.json"
    try:
        raw = read_json(path)
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise EvalError(f"{path} cannot be read ({error})\n    -> run the evaluation again") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("tasks"), dict) or not raw["tasks"]:
        raise EvalError(
            f"{path}: `tasks` must be a mapping with at least one benchmark\n    -> run the evaluation again"
        )
    tasks = {str(name): _task(path, name, entry) for name, entry in raw["tasks"].items()}
    items = _items(folder / "samples.parquet", tasks)
    for name, task in tasks.items():
        mine = items.get(name)
        if (len(mine.doc_ids) if mine else 0) != task.n:
            found = len(mine.doc_ids) if mine else 0
            raise EvalError(f"{path}: {name} has n = {task.n}, but samples.parquet holds {found} items of it{_AGAIN}")
        if mine is not None:
            _agrees(path, name, "value", task.value, mine.correct)
            _agrees(path, name, "tolerant", task.tolerant, mine.tolerant)
            _agrees(path, name, "extraction", task.extraction, mine.extracted)
    return Scores(
        tasks, {name: items[name] for name in tasks if name in items}, raw.get("simulated") is True, quantized([folder])
    )


def outcomes(runs: Sequence[Scores], replicates: Sequence[int], task: str, kind: str, where: str) -> Outcomes | None:
    """Return the outcomes of an arm's replicates on one benchmark. Return None if a replicate lacks the benchmark or
    has no outcomes of this kind.

    `runs`: the scores of the replicates. `kind`: one of KINDS. `where`: the arm's name, for errors. Raises EvalError if
    the replicates have different items.
    """
    if not runs or any(task not in run.items or run.items[task].of(kind) is None for run in runs):
        return None
    first = runs[0].items[task]
    order = sorted(range(len(first.doc_ids)), key=first.doc_ids.__getitem__)
    ids = tuple(first.doc_ids[place] for place in order)
    right = dict(zip(first.doc_ids, first.answers, strict=True))
    rows = []
    for run in runs:
        own, values = run.items[task].doc_ids, run.items[task].of(kind)
        if set(own) != set(ids):
            shared = len(set(own) & set(ids))
            raise EvalError(
                f"{where}: its replicates answered different items of {task} ({len(ids)} and {len(own)}, {shared} shared)"
                "\n    -> evaluate all replicates on the same suite with the same limit"
            )
        others = dict(zip(own, run.items[task].answers, strict=True))
        if others != right:
            raise EvalError(f"{where}: {answers_differ(task, right, others)}")
        place = {doc: index for index, doc in enumerate(own)}
        assert values is not None
        rows.append(values[[place[doc] for doc in ids]])
    clusters = None if first.clusters is None else tuple(first.clusters[place] for place in order)
    return Outcomes(ids, np.stack(rows), tuple(replicates), clusters, tuple(right[doc] for doc in ids))


def conditions_differ(runs: Sequence[Scores]) -> list[str]:
    """Return a warning for each benchmark on which the runs were evaluated under different conditions, such as other
    prompts. The warning names each condition that differs, and its values in the order of the runs."""
    lines = []
    for task in dict.fromkeys(name for run in runs for name in run.items):
        hows = [run.tasks[task].how for run in runs if task in run.items]
        if len(hows) < 2 or not all(hows):
            continue
        elsewhere = {*_ELSEWHERE, *(["reading"] if any(how.get("reading") == VERIFIED for how in hows) else [])}
        every = dict.fromkeys(key for how in hows for key in how if key not in elsewhere)
        keys = [key for key in every if len({repr(how.get(key)) for how in hows}) > 1]
        if keys:
            what = "; ".join(f"{key} {' / '.join(dict.fromkeys(str(how.get(key)) for how in hows))}" for key in keys)
            lines.append(
                f"{task} was evaluated under different conditions: {what}. The difference is not due to the models alone."
            )
    return lines


def _task(path: Path, name: str, entry: Any) -> TaskScore:
    if not isinstance(entry, dict):
        raise EvalError(f"{path}: tasks.{name} must be a mapping{_AGAIN}")
    if absent := {"value", "n", "tolerant", "extraction"} - set(entry):
        missing = ", ".join(sorted(absent))
        raise EvalError(
            f"{path}: tasks.{name} has no {missing}: an earlier version wrote it\n    -> run the evaluation again"
        )
    n = entry["n"]
    if isinstance(n, bool) or not isinstance(n, int) or n < 0:
        raise EvalError(f"{path}: tasks.{name}.n must be a whole number, got {n!r:.60}{_AGAIN}")
    numbers: dict[str, Any] = {key: entry.get(key) for key in ("value", "tolerant", "extraction", "stderr")}
    for key, number in numbers.items():
        if not (_share(number) or (number is None and (key != "value" or n == 0))):
            allowed = "a number" if key == "value" else "null or a number"
            raise EvalError(f"{path}: tasks.{name}.{key} must be {allowed} from 0 to 1, got {number!r:.60}{_AGAIN}")
    metric, group = str(entry.get("metric") or ""), str(entry.get("group") or name)
    made = TaskScore(n=n, **numbers, metric=metric, group=group, how=_how(entry), at_limit=_at_limit(entry))
    return replace(made, fell_back=_fell_back(entry))


def _at_limit(entry: Mapping[str, Any]) -> float | None:
    count, known = entry.get("at_limit"), entry.get("at_limit_known")
    return (
        count / known if isinstance(count, int) and isinstance(known, int) and 0 <= count <= known and known else None
    )


def _fell_back(entry: Mapping[str, Any]) -> int:
    counts = entry.get(VERIFIED)
    found = counts.get("fell_back") if isinstance(counts, dict) else 0
    return found if isinstance(found, int) and found > 0 else 0


def _how(entry: Mapping[str, Any]) -> dict[str, Any]:
    how = entry.get("how")
    return {str(key): value for key, value in how.items()} if isinstance(how, dict) else {}


def _share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1


def _agrees(path: Path, task: str, key: str, value: float | None, items: Floats | None) -> None:
    if value is not None and items is not None and abs(float(items.mean()) - value) > TOLERANCE:
        raise EvalError(
            f"{path}: the {key} of {task} is {value:.4f}, but its items in samples.parquet average {items.mean():.4f}: {_ALTERED}"
        )


def _items(path: Path, tasks: Mapping[str, TaskScore]) -> dict[str, Items]:
    """The items in samples.parquet by benchmark."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as opened:  # pyarrow cannot open a path that is not UTF-8
            file = pq.ParquetFile(opened)
            prompted = [name for name in ("prompt_hash",) if name in file.schema_arrow.names]
            table = file.read(columns=[*COLUMNS, *prompted])  # pq.read_table would import pandas
    except (OSError, pa.ArrowInvalid) as error:
        raise EvalError(f"{path} cannot be read ({error})\n    -> run the evaluation again") from error
    if absent := set(COLUMNS) - set(table.column_names):
        raise EvalError(
            f"{path}: no column {', '.join(sorted(absent))}: an earlier version wrote it\n    -> run the evaluation again"
        )
    names = np.array(table["task"].to_pylist(), dtype=object)
    correct, tolerant = (_floats(table[name]) for name in ("correct", "correct_tolerant"))
    extracted = np.array(pc.is_valid(table["extracted"]).to_pylist(), dtype=np.float64)
    doc_ids, clusters, answers = (
        np.array(table[name].to_pylist(), dtype=object) for name in ("doc_id", "cluster", "answer")
    )
    prompts = np.array(table["prompt_hash"].to_pylist() if prompted else [], dtype=object)
    found = {}
    for task in dict.fromkeys(names):
        mine = names == task
        ids = tuple(map(str, doc_ids[mine]))
        if len(set(ids)) != len(ids):
            raise EvalError(
                f"{path}: {len(ids) - len(set(ids))} of {len(ids)} doc_ids of {task} occur more than once{_AGAIN}"
            )
        score = tasks.get(str(task))
        groups = tuple(clusters[mine])
        found[str(task)] = Items(
            doc_ids=ids,
            correct=_shares(path, "correct", correct[mine]),
            tolerant=_shares(path, "correct_tolerant", tolerant[mine])
            if score and score.tolerant is not None
            else None,
            extracted=extracted[mine] if score and score.extraction is not None else None,
            clusters=_clusters(ids, groups),
            answers=tuple(map(str, answers[mine])),
            prompts=tuple(map(str, prompts[mine])) if prompted else (),
        )
    return found


def _floats(column: Any) -> Floats:
    return np.array(column.cast("double").to_pylist(), dtype=np.float64)  # null becomes NaN


def _shares(path: Path, column: str, values: Floats) -> Floats:
    if bad := int((~((values >= 0) & (values <= 1))).sum()):
        raise EvalError(
            f"{path}: {bad} of {len(values)} values of `{column}` are missing or outside 0..1\n    -> run the evaluation again"
        )
    return values


def _clusters(ids: Sequence[str], clusters: Sequence[str | None]) -> tuple[str, ...] | None:
    """The items' clusters; an item without one is its own cluster. None where no item has one."""
    if all(name is None for name in clusters):
        return None
    return tuple(f"item {doc}" if name is None else name for doc, name in zip(ids, clusters, strict=True))
