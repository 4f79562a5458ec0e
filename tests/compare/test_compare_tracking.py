"""A comparison's W&B run, read back: the means of the arms, the table, its files, and the scores that it was made from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import wandb_offline

from gra.compare import tracking
from gra.compare.arms import Arm
from gra.compare.experiment import compare
from gra.compare.tables.csv_export import read_csv
from gra.tracking import TrackingSettings

FEW = {"world_sums": 40, "world_words": 40}


def test_a_comparison_is_logged_once(make_arm: Callable[..., Arm], tmp_path: Path) -> None:
    arms = [make_arm("gra", steps=("scores",), tasks=FEW), make_arm("none", steps=(), tasks=FEW)]
    output = tmp_path / "out"
    compare(arms, title="Test", reference="gra", output=output, options={"resamples": 200})
    settings = TrackingSettings(mode="offline", group="small", name="null-seed0", tags=["small", "null"])
    for _ in range(2):
        tracking.record(arms, settings, output, "small")
    run = wandb_offline.read(output)  # one run: the same table is not logged again
    assert (run.group, run.name, run.job_type, run.exit_code) == ("small", "small comparison", "comparison", 0)
    assert set(run.tags) == {"comparison", "small"}
    row = read_csv((output / "table.csv").read_text())[0]
    assert run.summary["compare/gra/mean"] == pytest.approx(row["mean"])
    assert not [key for key in run.summary if key.startswith("compare/none/")]  # not scored: never a zero
    (table,) = (json.loads(path.read_text()) for path in output.rglob("comparison_*.table.json"))
    assert [line[0] for line in table["data"]] == ["gra", "none"]
    assert {"task.world_sums", "task.world_words"} < set(table["columns"])
    made = run.logged["small-comparison"]
    assert set(wandb_offline.files(made)) == set(tracking.FILES)
    assert all(Path(entry.local_path).is_file() for entry in made.manifest.contents)
    (used,) = run.used.values()
    assert (used.type, used.name) == ("scores", f"{arms[0].folders['scores'].name}-scores")
    assert "scores.json" in wandb_offline.files(used)


def test_another_table_replaces_the_run_that_was_not_uploaded(make_arm: Callable[..., Arm], tmp_path: Path) -> None:
    output, settings = tmp_path / "out", TrackingSettings(mode="offline")
    uploaded = output / "wandb" / "offline-run-1-uploaded"
    for folder in (uploaded, output / "wandb" / "offline-run-2-old"):
        folder.mkdir(parents=True)
    (uploaded / "run-x.wandb.synced").touch()
    arms = [make_arm("gra", steps=("scores",), tasks=FEW)]
    compare(arms, title="Test", reference="gra", output=output, options={"resamples": 200})
    tracking.record(arms, settings, output, "small")
    assert uploaded.is_dir()
    assert not (output / "wandb" / "offline-run-2-old").exists()
    assert wandb_offline.read(output).job_type == "comparison"


def test_nothing_is_logged_where_tracking_is_off_or_nothing_is_scored(
    make_arm: Callable[..., Arm], tmp_path: Path
) -> None:
    scored, unscored = make_arm("gra", steps=("scores",), tasks=FEW), make_arm("none", steps=(), tasks=FEW)
    tracking.record([scored], TrackingSettings(mode="none"), tmp_path / "out", "small")
    tracking.record([unscored], TrackingSettings(mode="offline"), tmp_path / "out", "small")
    assert not (tmp_path / "out").exists()
