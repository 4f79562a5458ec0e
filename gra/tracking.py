"""Weights & Biases, which may fail in any way without stopping a run. Everything it writes lies in `<output>/wandb`.

A stage makes one run a step: its config, what it logs, its final numbers. Killed and started again, an online run goes on, and an
offline one is written anew, so that there is one folder to send with `wandb sync`.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pydantic import Field

from gra.settings import Settings

log = logging.getLogger(__name__)
ONLINE_TIMEOUT = 30.0  # seconds to wait for the server when a run starts; WANDB_INIT_TIMEOUT goes before it
FINISH_TIMEOUT = 20.0  # seconds to wait for it when a run ends, or is stopped; what is not sent by then lies in <output>/wandb
FOLDER = "wandb"
_ours: set[str] = set()  # variables set here and not by the user: a process may run one step after another


class TrackingSettings(Settings):
    """Weights & Biases. `offline` writes the run inside the output folder, to be sent later with `wandb sync`."""

    mode: Literal["offline", "online", "none"] = "offline"
    project: str = "gra"
    entity: str | None = None
    group: str | None = None
    name: str | None = None
    upload_model: bool = Field(default=False, description="send the weights, too; else the model is noted by its place alone")


class Run:
    """A W&B run, or nothing. Its methods never raise because of W&B: after a failure they say so once and do nothing more."""

    def __init__(
        self,
        settings: TrackingSettings,
        output: Path,
        config: dict[str, Any],
        run_id: str,
        *,
        job_type: str,
        finish_timeout: float = FINISH_TIMEOUT,
    ):
        """`run_id` names the run for W&B; the same after a resume, so that it goes on online."""
        self._run: Any = None
        self._settings, self._offline = settings, settings.mode == "offline"
        self._job_type, self._finish_timeout = job_type, finish_timeout
        if settings.mode == "none":
            return
        home = output / FOLDER
        os.environ["WANDB_DIR"] = str(output)
        for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR"):  # else W&B makes folders in the user's home
            if name in _ours or name not in os.environ:
                os.environ[name] = str(home / name.split("_")[1].lower())
                _ours.add(name)
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        self._faults = _faults(wandb)
        for old in home.glob(f"offline-run-*-{run_id}*"):  # of a start that was cut off
            shutil.rmtree(old, ignore_errors=True)
        self._run = self._start(wandb, settings.mode, output, config, run_id)
        if self._run is None and settings.mode == "online":
            log.warning("W&B: going on offline; send the run later with `wandb sync %s`", home)
            self._offline = True
            self._run = self._start(wandb, "offline", output, config, f"{run_id}-offline")

    def _start(self, wandb: ModuleType, mode: str, output: Path, config: dict[str, Any], run_id: str) -> Any:
        settings = self._settings
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
                job_type=self._job_type,
                reinit="create_new",
                settings=wandb.Settings(
                    init_timeout=timeout,
                    finish_timeout=self._finish_timeout,
                    console="off",
                    x_disable_stats=True,
                    disable_git=True,
                    disable_code=True,
                ),
                **options,
            )
        except self._faults as error:
            log.warning("W&B (%s) cannot be used: %s", mode, _line(error))
            return None

    def log(self, values: dict[str, float], step: int) -> None:
        """Send one row of a curve."""
        self.call(lambda run: run.log(values, step=step))

    def finish(self, summary: dict[str, float]) -> None:
        """Close the run with its final numbers. Its files are then complete: the output folder can be listed and moved."""
        self.call(lambda run: (run.summary.update(summary), run.finish()))
        if self._run is not None:
            self._run = None
            self._end_service()

    def _end_service(self) -> None:
        """End W&B's own process, which writes on after a run is finished. The next step in this process gets another."""
        import wandb

        with suppress(*self._faults, SystemExit):
            wandb.teardown()

    def call(self, act: Callable[[Any], object], part: str | None = None) -> None:
        """Do `act` with the run. A failure ends tracking, or where only a `part` of it is lost, that alone."""
        if self._run is None:
            return
        try:
            act(self._run)
        except self._faults as error:
            if part is not None and not isinstance(error, _dead()):
                log.warning("W&B: %s is left out: %s", part, _line(error))
                return
            log.warning("W&B failed and is left out from here on: %s", _line(error))
            self._run = None
            if isinstance(error, _dead()):
                self._end_service()


def _line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _faults(wandb: ModuleType) -> tuple[type[Exception], ...]:
    """What W&B raises: its own errors (which have no common base), the network's and file system's, and those of its service."""
    from wandb.sdk.lib.service import service_connection
    from wandb.sdk.mailbox import mailbox_handle

    return (
        *_dead(),
        wandb.errors.Error,
        service_connection.WandbApiFailedError,
        mailbox_handle.ServerResponseError,
        OSError,
        RuntimeError,
        ValueError,
        AssertionError,
    )


def _dead() -> tuple[type[Exception], ...]:
    """What is raised once W&B's own process (wandb-core) is gone."""
    from wandb.sdk.lib.service import service_token
    from wandb.sdk.mailbox import mailbox, mailbox_handle

    return (
        service_token.WandbServiceConnectionError,
        mailbox.MailboxClosedError,
        mailbox_handle.HandleAbandonedError,
        ConnectionError,
    )
