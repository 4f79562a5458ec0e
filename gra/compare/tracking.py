"""Logs an experiment's comparison to W&B (gra/tracking.py). The W&B run has the means in its summary, the table as a
W&B table, and the table's files as an output artifact. The scores from which the table was made are its input
artifacts.

A table is logged once. If the table in a folder has changed, the changed table gets a new W&B run. Older offline runs
in the folder that were not uploaded are then deleted, because the new table has overwritten the files to which they
refer.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gra import tracked_files
from gra.compare.arms import Arm
from gra.compare.tables.csv_export import read_csv
from gra.fileio import sha256_file
from gra.tracking import FOLDER, Run, TrackingSettings, cut

FILES = ("table.md", "table.csv", "table.tex", "report.html")
SHOWN = (
    "label",
    "reference",
    "simulated",
    "replicates",
    "samples",
    "tokens",
    "wrong_share",
    "mean",
    "mean.std",
    "stars",
)
NUMBERS = (
    "mean",
    "mean.std",
    "mean.tolerant",
    "mean.extraction",
    "mean.difference",
    "mean.low",
    "mean.high",
    "wrong_share",
)


def record(arms: Sequence[Arm], settings: TrackingSettings, output: Path, name: str) -> None:
    """Send the tables in the folder `output` to W&B. `name`: the experiment's name. Nothing is sent if tracking is off,
    if no arm has scores, or if the same table was sent before. W&B's errors are not raised."""
    scores = {arm.folders["scores"].resolve(): arm.folders["scores"] for arm in arms if "scores" in arm.folders}
    if settings.mode == "none" or not scores:
        return
    place = f"{output.resolve()} {sha256_file(output / 'table.csv')}"
    run_id = hashlib.sha256(place.encode()).hexdigest()[:16]
    if any((output / FOLDER).glob(f"*run-*-{run_id}*/*.wandb")):
        return
    for old in (output / FOLDER).glob("offline-run-*"):
        if not any(old.glob("*.synced")):
            shutil.rmtree(old, ignore_errors=True)
    rows = read_csv((output / "table.csv").read_text(encoding="utf-8"))
    mine = settings.model_copy(update={"name": cut(f"{name} comparison"), "tags": [name]})
    run = Run(mine, output, {"experiment": name, "arms": [row["arm"] for row in rows]}, run_id, job_type="comparison")

    def used(tracked: Any) -> None:
        for folder in scores.values():
            tracked_files.use_scores(tracked, folder)

    def table(tracked: Any) -> None:
        import wandb

        columns, data = lines(rows)
        tracked.log({"comparison": wandb.Table(columns=list(columns), data=data)})

    run.call(used, "the artifacts of the scores")
    run.call(table, "the table")
    files = {part: output / part for part in FILES if (output / part).is_file()}
    run.call(lambda w: tracked_files.log_comparison(w, f"{name}-comparison", files), "the artifact of the tables")
    run.finish(summary(rows))


def lines(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Return the headings of the W&B table, and its rows. There is one row for each arm. It has facts on the arm, the
    arm's mean, its difference from the reference with an interval, and its score on each benchmark."""
    tasks = [key for key in rows[0] if key.startswith("task.") and key.count(".") == 1]
    columns = [key for key in ("arm", *SHOWN, *NUMBERS[4:7], *tasks) if key in rows[0]]
    return columns, [[row[column] for column in columns] for row in rows]


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the main numbers of every arm, under keys of the form `compare/<arm>/<name of the number>`. Missing
    numbers are left out."""
    found = {f"compare/{row['arm']}/{key}": row.get(key) for row in rows for key in NUMBERS}
    return {
        key: float(value) for key, value in found.items() if isinstance(value, int | float) and math.isfinite(value)
    }
