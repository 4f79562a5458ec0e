"""The W&B run of a training (gra/tracking.py): a row a logged step, the data folder as a used artifact and the model folder as a
logged one (train/artifacts.py). After a resume an offline run holds the whole curve again, from the checkpoint's log.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gra.tracking import FINISH_TIMEOUT, Run, TrackingSettings
from train import artifacts

UPLOAD_TIMEOUT = 3600.0  # seconds to wait for W&B's server when a run ends, where the weights are sent


class Tracker(Run):
    """A W&B run, or nothing. Its methods never raise because of W&B."""

    def __init__(self, settings: TrackingSettings, output: Path, config: dict[str, Any], run_id: str):
        """`run_id` names the run for W&B; the same after a resume, so that the curve goes on online."""
        timeout = UPLOAD_TIMEOUT if settings.upload_model else FINISH_TIMEOUT
        super().__init__(settings, output, config, run_id, job_type="train", finish_timeout=timeout)

    def replay(self, rows: Iterable[tuple[int, dict[str, float]]]) -> None:
        """Rows (step, values) from before a resume: written again where the run is offline; a server has them already."""
        if self._offline:
            for step, values in rows:
                self.log(values, step)

    def use(self, name: str, folder: Path) -> None:
        """Note that the run reads the data folder `folder`, its input `name`."""
        self.call(lambda run: artifacts.use(run, name, folder), f"the artifact of {folder.name}")

    def log_model(self, output: Path) -> None:
        """Note that the run has made `output/model`; its weights are sent only where `tracking.upload_model` says so."""
        upload = self._settings.upload_model
        self.call(lambda run: artifacts.log_model(run, output, upload, self._offline), "the model's artifact")
