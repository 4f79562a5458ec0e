"""A W&B run leaves the process's environment as it found it, wherever its output folder is given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gra.tracking import Run, TrackingSettings


def variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("WANDB_") and name != "WANDB_SERVICE"}


@pytest.mark.parametrize("given", [{}, {"WANDB_DIR": "mine", "WANDB_CACHE_DIR": "mine/cache"}])
def test_the_variables_of_a_run_end_with_it(
    given: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a relative folder, the programs that a script starts later would else make that folder where they run."""
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR", "WANDB_SILENT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    before = variables()
    Path("models/mine").mkdir(parents=True)
    run = Run(TrackingSettings(mode="offline"), Path("models/mine"), {}, "a" * 16, job_type="train")
    assert os.environ["WANDB_DIR"] == str(tmp_path / "models" / "mine")
    run.log({"loss": 1.0}, 1)
    run.finish({"loss": 1.0})
    assert variables() == before
    assert list(Path("models/mine/wandb").glob("offline-run-*"))
