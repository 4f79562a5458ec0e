"""Logs an evaluation to W&B (gra/tracking.py): the scores as summary and table, and a table of some samples.

The model is the run's input artifact, and the score files are its output artifact (gra/tracked_files.py).

This is done after all files are written, so a failure of W&B loses no scores.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gra import tracked_files
from gra.eval.report import scores
from gra.eval.settings import EvalSettings
from gra.tracking import Run

PER_TASK, TEXT_CAP = 20, 2000  # samples per task, characters per text
SCORE_COLUMNS = (
    "task",
    "group",
    "n",
    "metric",
    "strict",
    "stderr",
    "tolerant",
    "tolerant_stderr",
    "extraction",
    "at_limit",
)
SAMPLE_COLUMNS = (
    "task",
    "subtask",
    "doc_id",
    "reply",
    "answer",
    "extracted",
    "correct",
    "extracted_tolerant",
    "correct_tolerant",
)


def record(
    settings: EvalSettings,
    inputs: Mapping[str, Path],
    output: Path,
    result: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Send the scores and the first samples of each task to W&B if `runtime.tracking` is on.

    `result`: the content of scores.json.

    Errors of W&B are not raised.
    """
    tracking = settings.runtime.tracking
    if tracking.mode == "none":
        return
    config = public(settings, inputs)
    place = json.dumps([config, str(output.resolve())], sort_keys=True)
    run_id = hashlib.sha256(place.encode()).hexdigest()[:16]
    run = Run(tracking, output, config, run_id, job_type="eval", tags=[settings.suite.name])
    if (folder := model_folder(settings, inputs)) is not None:
        upload = tracking.upload_model
        run.call(lambda w: tracked_files.use_model(w, folder, upload), "the artifact of the model")

    def log(run: Any) -> None:
        import wandb

        tables = {"scores": (SCORE_COLUMNS, score_lines(result)), "samples": (SAMPLE_COLUMNS, sample_lines(rows))}
        run.log({name: wandb.Table(columns=list(columns), data=data) for name, (columns, data) in tables.items()})

    run.call(log, "the tables")
    run.call(lambda w: tracked_files.log_scores(w, output), "the artifact of the scores")
    run.finish({f"eval/{name}": value for name, value in scores.flat(result).items()})


def model_folder(settings: EvalSettings, inputs: Mapping[str, Path]) -> Path | None:
    """Return the output folder of the training step that made the model; None if no training step made it."""
    path = inputs.get("model")
    if path is None and settings.model is not None and settings.model.path:
        path = Path(settings.model.path)
        path = path.parent if path.name == "model" else path
    return path if path is not None and (path / "model").is_dir() else None


def public(settings: EvalSettings, inputs: Mapping[str, Path]) -> dict[str, Any]:
    """Return the part of the config that is sent to W&B.

    Absolute paths are reduced to their last part. The server's address is left out, because it may contain a password.
    """
    shown = settings.model_dump(mode="json", exclude={"runtime": True, "model": {"base_url"}})
    return {**_short(shown), "inputs": {name: folder.name for name, folder in sorted(inputs.items())}}


def score_lines(result: Mapping[str, Any]) -> list[list[Any]]:
    """Return the rows of the table of scores: tasks, then groups with several tasks, then the mean.

    Each row has a value for each of SCORE_COLUMNS. A missing value is None.
    """
    parts = [(name, score["group"], score["n"], score) for name, score in result["tasks"].items()]
    of = [score["group"] for score in result["tasks"].values()]
    parts += [(f"({name})", name, None, score) for name, score in result["groups"].items() if of.count(name) > 1]
    parts.append(("mean", None, None, result["mean"]))
    keys = ("metric", "value", *SCORE_COLUMNS[5:])
    return [[name, group, n, *(score.get(key) for key in keys)] for name, group, n, score in parts]


def sample_lines(rows: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Return the rows of the table of samples: the first PER_TASK samples of every task.

    Each row has a value for each of SAMPLE_COLUMNS. Texts longer than TEXT_CAP characters are shortened.
    """
    shown: dict[str, int] = {}
    lines = []
    for row in rows:
        shown[row["task"]] = shown.get(row["task"], 0) + 1
        if shown[row["task"]] <= PER_TASK:
            lines.append([_cut(row.get(column)) for column in SAMPLE_COLUMNS])
    return lines


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > TEXT_CAP:
        return f"{value[:TEXT_CAP]} [cut: {len(value) - TEXT_CAP:,} more characters]"
    return value


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_short(part) for part in value]
    return Path(value).name if isinstance(value, str) and value.startswith(("/", "~")) else value
