"""Weights & Biases, which may fail in any way without stopping a run. Everything it writes lies in `<output>/wandb`."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from train.settings import TrackingSettings

log = logging.getLogger(__name__)
ONLINE_TIMEOUT = 30  # seconds to wait for the server when a run starts; WANDB_INIT_TIMEOUT goes before it
FOLDER = "wandb"


class Tracker:
    """A W&B run, or nothing. Its methods never raise because of W&B: after a failure they say so once and do nothing more."""

    def __init__(self, settings: TrackingSettings, output: Path, config: dict[str, Any], run_id: str):
        """`run_id` names the run for W&B; the same after a resume, so that the curve goes on online."""
        self._run: Any = None
        if settings.mode == "none":
            return
        os.environ["WANDB_DIR"] = str(output)
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        self._faults = _faults(wandb)
        self._run = self._start(wandb, settings, settings.mode, output, config, run_id)
        if self._run is None and settings.mode == "online":
            log.warning("W&B: going on offline; send the run later with `wandb sync %s`", output / FOLDER)
            self._run = self._start(wandb, settings, "offline", output, config, f"{run_id}-offline")

    def _start(
        self, wandb: ModuleType, settings: TrackingSettings, mode: str, output: Path, config: dict[str, Any], run_id: str
    ) -> Any:
        options = {"resume": "allow"} if mode == "online" else {}
        timeout = float(os.environ.get("WANDB_INIT_TIMEOUT", ONLINE_TIMEOUT))
        try:
            return wandb.init(
                mode=mode,
                dir=str(output),
                id=run_id,
                project=settings.project,
                entity=settings.entity,
                group=settings.group,
                name=settings.name,
                config=config,
                job_type="train",
                reinit="create_new",
                settings=wandb.Settings(init_timeout=timeout, console="off", x_disable_stats=True, disable_git=True),
                **options,
            )
        except self._faults as error:
            log.warning("W&B (%s) cannot be used: %s", mode, str(error).splitlines()[0] if str(error) else type(error).__name__)
            return None

    def log(self, values: dict[str, float], step: int) -> None:
        """Send one row of the curve."""
        self._call(lambda run: run.log(values, step=step))

    def finish(self, summary: dict[str, float]) -> None:
        """Close the run with its final numbers."""
        self._call(lambda run: (run.summary.update(summary), run.finish()))
        self._run = None

    def _call(self, act: Any) -> None:
        if self._run is None:
            return
        try:
            act(self._run)
        except self._faults as error:
            log.warning("W&B failed and is left out from here on: %s", error)
            self._run = None


def _faults(wandb: ModuleType) -> tuple[type[Exception], ...]:
    """What W&B raises: its own errors (which have no common base), the network's and file system's, and those of its service."""
    from wandb.sdk.lib.service import service_connection, service_token
    from wandb.sdk.mailbox import mailbox, mailbox_handle

    return (
        wandb.errors.Error,
        service_connection.WandbApiFailedError,
        service_token.WandbServiceConnectionError,
        mailbox.MailboxClosedError,
        mailbox_handle.HandleAbandonedError,
        mailbox_handle.ServerResponseError,
        OSError,
        RuntimeError,
        ValueError,
        AssertionError,
    )
