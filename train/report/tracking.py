"""Logs a training to W&B (gra/tracking.py).

It logs one row per logged step, the data folder as an artifact that the run uses, and the model folder as an artifact
that the run makes (gra/tracked_files.py). After a resume, an offline run contains the whole curve again, because the
checkpoint holds the log up to there.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gra import tracked_files
from gra.tracking import FINISH_TIMEOUT, Run, TrackingSettings

UPLOAD_TIMEOUT = 3600.0  # seconds to wait for W&B's server at the end of a run that uploads its weights


class Tracker(Run):
    """A W&B run, or a no-op if tracking is off. It never raises W&B's errors."""

    def __init__(self, settings: TrackingSettings, output: Path, config: dict[str, Any], run_id: str):
        """Open the run. `run_id`: W&B's id of the run, unchanged after a resume, so that the curve continues online."""
        timeout = UPLOAD_TIMEOUT if settings.upload_model else FINISH_TIMEOUT
        super().__init__(settings, output, config, run_id, job_type="train", finish_timeout=timeout)

    def replay(self, rows: Iterable[tuple[int, dict[str, float]]]) -> None:
        """When an offline W&B run resumes, log `rows` again. `rows`: pairs (step, values) that were logged before the
        resume. If the run is online, do nothing, because W&B's server already has these values."""
        if self._offline:
            for step, values in rows:
                self.log(values, step)

    def use(self, name: str, folder: Path) -> None:
        """Log that the run uses the data folder `folder` as its input `name`."""
        self.call(lambda run: tracked_files.use_data(run, name, folder), f"the artifact of {folder.name}")

    def log_model(self, output: Path) -> None:
        """Log `output/model` as an artifact that the run made. The weights are uploaded only if `tracking.upload_model`
        is true."""
        upload = self._settings.upload_model
        self.call(lambda run: tracked_files.log_model(run, output, upload, self._offline), "the model's artifact")
