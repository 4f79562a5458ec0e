"""Writes log.csv, speed.csv, loss.png and metrics.json of a training run. (card.py writes the model card.)

The files depend only on the config, the inputs and the number of threads, not on how often the run was killed.
Exceptions are speed.csv and the key `runtime` of metrics.json.
"""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

from gra.errors import TrainError
from gra.fileio import atomic_path, write_json, write_text
from gra.train.loop.validation import LOSS as VALIDATION

# Column of log.csv -> key in the trainer's log. loss: the mean over tokens since the previous row; accuracy and entropy (nats): the
# mean over forward passes.
COLUMNS = {
    "step": "step",
    "epoch": "epoch",
    "loss": "loss",
    "lr": "learning_rate",
    "grad_norm": "grad_norm",
    "tokens": "num_tokens",
    "accuracy": "mean_token_accuracy",
    "entropy": "entropy",
    "validation_loss": VALIDATION,  # with a held-out set
}
LogRow = dict[str, float | None]


def rows(history: list[dict[str, Any]]) -> list[LogRow]:
    """Return one row for each logged step of the trainer's history. A missing value is None.

    A `validation_loss` is in the row of the step at which it was computed. If the training loss of this step was not
    logged, the `validation_loss` is in a row of its own.
    """
    found: dict[int, dict[str, Any]] = {}
    for entry in history:
        if "loss" in entry or VALIDATION in entry:
            found.setdefault(entry["step"], {}).update(entry)
    return [{column: entry.get(key) for column, key in COLUMNS.items()} for _, entry in sorted(found.items())]


def speeds(history: list[dict[str, Any]]) -> list[LogRow]:
    """Return one row for each logged step with its throughput and memory. These are the numbers in the trainer's
    history that the function `rows` does not return."""
    known = set(COLUMNS.values())
    timed = [entry for entry in history if "loss" in entry]
    numbers = (int, float)
    names = sorted(
        {key for entry in timed for key, value in entry.items() if key not in known and isinstance(value, numbers)}
    )
    return [{"step": entry["step"], **{name: entry.get(name) for name in names}} for entry in timed] if names else []


def finite(loss: float | None, step: float | None) -> float:
    """Return `loss`. Raises TrainError if it is not a finite number."""
    if loss is None or not math.isfinite(loss):
        raise TrainError(
            f"the loss is {loss} at step {step}\n    -> lower sft.learning_rate, or raise sft.warmup_ratio"
        )
    return loss


def losses(table: list[LogRow], steps: int) -> dict[str, float]:
    """Return train_loss, final_loss and, if there is one, the last validation_loss. Raises TrainError if a loss is not
    finite or if none of the `steps` steps was logged.

    train_loss is the mean over all steps. To compute it, each row is weighted by the number of steps that it covers.
    final_loss is the loss of the last row.
    """
    before, total, last = 0.0, 0.0, 0.0
    for row in table:
        if row["loss"] is None and row["validation_loss"] is not None:
            continue  # a row with the validation loss only
        last, step = finite(row["loss"], row["step"]), row["step"] or 0.0
        total += last * (step - before)
        before = step
    if not before:
        raise TrainError(f"none of the {steps} steps was logged\n    -> set sft.log_steps to at most {max(1, steps)}")
    found = {"train_loss": total / before, "final_loss": last}
    validated = [(row["validation_loss"], row["step"]) for row in table if row["validation_loss"] is not None]
    if validated:
        found["validation_loss"] = finite(*validated[-1])
    return found


def write(output: Path, history: list[dict[str, Any]], metrics: dict[str, Any]) -> None:
    """Write log.csv, speed.csv, loss.png and metrics.json, each atomically. metrics.json is written last. An empty cell
    of a table means that there is no value."""
    table = rows(history)
    left_out = set() if "validation_loss" in metrics else {"validation_loss"}
    _csv(output / "log.csv", [{key: value for key, value in row.items() if key not in left_out} for row in table])
    if timed := speeds(history):
        _csv(output / "speed.csv", timed)
    _plot(table, output / "loss.png")
    write_json(output / "metrics.json", metrics)


def _csv(path: Path, table: list[LogRow]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if value is None else value for key, value in row.items()} for row in table)
    write_text(path, text.getvalue())


def _plot(table: list[LogRow], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for column, label, style in (("loss", "training", "-"), ("validation_loss", "validation", "o-")):
        points = [(row["step"], row[column]) for row in table if row[column] is not None]
        if points:
            axes.plot(*zip(*points, strict=True), style, linewidth=1, markersize=3, label=label)  # type: ignore[arg-type]
    if any(row["validation_loss"] is not None for row in table):
        axes.legend()
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("loss (nats / trained token)")
    axes.grid(alpha=0.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def folder_name(folder: Path) -> str:
    """Return a folder's name for reports, which is the last part of its path. If the last part is `model`, return the
    name of the parent folder."""
    return folder.parent.name if folder.name == "model" else folder.name
