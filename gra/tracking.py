"""Logs a step to Weights & Biases. No W&B failure stops the step. All W&B files are in `<output>/wandb`.

A step is one W&B run with its config, curves and final numbers. After a kill and a restart, an online run resumes; an
offline run is rewritten, so that only one folder is left for `gra track sync`. Secrets and addresses never reach W&B's config,
and names are cut to W&B's limits.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pydantic import Field

from gra import secret_patterns
from gra.private_api import wandb as private
from gra.settings import Settings

log = logging.getLogger(__name__)
ONLINE_TIMEOUT = 30.0  # seconds to wait for the server when a run starts; WANDB_INIT_TIMEOUT overrides it
FINISH_TIMEOUT = 20.0  # seconds to wait for the server when a run ends; unsent data stays in <output>/wandb
FOLDER = "wandb"
LONGEST, LONGEST_TAG = 128, 64  # characters that W&B allows in the name of a run, group or project, and in a tag


class TrackingSettings(Settings):
    """How runs are logged to Weights & Biases."""

    mode: Literal["offline", "online", "none"] = Field(
        "offline",
        description="offline: runs are written to the folder `wandb` of the output and can be uploaded later (`gra track sync`); "
        "online: runs are uploaded, which needs WANDB_API_KEY; if W&B cannot be reached, they continue offline; none: nothing is "
        "logged.",
    )
    project: str = Field("gra", description="W&B project.")
    entity: str | None = Field(None, description="W&B team or user; null: the account's default.")
    group: str | None = Field(None, description="W&B group of the runs; null: the experiment's name, if any.")
    name: str | None = Field(
        None, description="Name of the W&B run; null: arm and seed in an experiment, otherwise chosen by W&B."
    )
    tags: list[str | None] = Field(
        default_factory=list,
        description="Tags of the runs, in addition to the stage (and the suite of an evaluation); the default in an "
        "experiment is the experiment's name and the arm. Null entries are left out.",
    )
    upload_model: bool = Field(
        False, description="true: upload the weights; false: log only the model's path and size."
    )


class Run:
    """A run of Weights & Biases (W&B). If tracking is off, its methods do nothing. No method raises an error of W&B.
    The first error is logged and ends the tracking."""

    def __init__(
        self,
        settings: TrackingSettings,
        output: Path,
        config: dict[str, Any],
        run_id: str,
        *,
        job_type: str,
        tags: Sequence[str] = (),
        finish_timeout: float = FINISH_TIMEOUT,
    ):
        """Start the run if tracking is on. `run_id`: W&B's id of the run. A resumed step passes the same id, which
        continues an online run. `job_type`: the stage; it is also logged as a tag, in addition to `tags`. `config`: the
        config to log; the function `public` removes what is private."""
        self._run: Any = None
        self._settings, self._offline = settings, settings.mode == "offline"
        self._job_type, self._finish_timeout = job_type, finish_timeout
        self._tags = limited_tags([job_type, *tags, *settings.tags])
        if settings.mode == "none":
            return
        home = output.absolute() / FOLDER
        self._before = os.environ.get("WANDB_DIR")
        self._set: list[str] = []  # variables that the user had not set
        os.environ["WANDB_DIR"] = str(output.absolute())
        for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR"):  # W&B's defaults are in the user's home
            self._set_default(name, str(home / name.split("_")[1].lower()))
        self._set_default("WANDB_SILENT", "true")
        import wandb

        self._faults = private.faults()
        for old in home.glob(f"offline-run-*-{run_id}*"):  # left by a killed process
            shutil.rmtree(old, ignore_errors=True)
        self._run = self._start(wandb, settings.mode, output, config, run_id)
        if self._run is None and settings.mode == "online":
            log.warning("W&B: continuing offline; send the run later: gra track sync %s", output)
            self._offline = True
            self._run = self._start(wandb, "offline", output, config, f"{run_id}-offline")
        if self._run is None:
            self._restore()

    def _set_default(self, name: str, value: str) -> None:
        if name not in os.environ:
            os.environ[name] = value
            self._set.append(name)

    def _restore(self) -> None:
        """Restore the environment variables, because a later step, or a program that a script starts, uses other
        folders."""
        for name in self._set:
            os.environ.pop(name, None)
        self._set = []
        if self._before is None:
            os.environ.pop("WANDB_DIR", None)
        else:
            os.environ["WANDB_DIR"] = self._before

    def _start(self, wandb: ModuleType, mode: str, output: Path, config: dict[str, Any], run_id: str) -> Any:
        settings = self._settings
        options = {"resume": "allow"} if mode == "online" else {}
        timeout = float(os.environ.get("WANDB_INIT_TIMEOUT", ONLINE_TIMEOUT))
        try:
            return wandb.init(
                mode=mode,
                dir=str(output),
                id=run_id,
                project=cut(re.sub(r"[/\\#?%:]", "-", settings.project)),
                entity=settings.entity,
                group=cut(settings.group) if settings.group else None,
                name=cut(settings.name) if settings.name else None,
                tags=self._tags,
                config=public(config),
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
        """Log one row of metrics at `step`."""
        self.call(lambda run: run.log(values, step=step))

    def finish(self, summary: dict[str, float]) -> None:
        """Write the final numbers and close the run. W&B then writes no more files, so the output folder can be listed
        and moved."""
        self.call(lambda run: (run.summary.update(summary), run.finish()))
        if self._run is not None:
            self._run = None
            self._end_service()

    def _end_service(self) -> None:
        """End W&B's service process, which keeps writing after a run has finished. The next step starts a new one."""
        import wandb

        with suppress(*self._faults, SystemExit):
            wandb.teardown()
        self._restore()

    def call(self, act: Callable[[Any], object], part: str | None = None) -> None:
        """Call the function `act` with the W&B run. `part`: the name of what `act` logs; None if tracking must end when
        `act` fails.

        If W&B fails, tracking ends. There is one exception: if `part` is given and W&B's service still runs, only what
        `act` logs is skipped, and tracking continues.
        """
        if self._run is None:
            return
        try:
            act(self._run)
        except self._faults as error:
            if part is not None and not isinstance(error, private.dead()):
                log.warning("W&B: %s is skipped: %s", part, _line(error))
                return
            log.warning("W&B failed; nothing more is sent to it: %s", _line(error))
            self._run = None
            if isinstance(error, private.dead()):
                self._end_service()
            else:
                self._restore()


def cut(text: str, longest: int = LONGEST) -> str:
    """Return `text`, cut to at most `longest` characters. A cut text ends with a hash of the whole text, so that
    different texts stay different."""
    if len(text) <= longest:
        return text
    return f"{text[: longest - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def limited_tags(tags: Sequence[str | None]) -> list[str]:
    """Return the tags without empty and repeated ones. Each is cut to the length that W&B allows."""
    return list(dict.fromkeys(cut(tag, LONGEST_TAG) for tag in tags if tag))


def public(value: Any) -> Any:
    """Return a copy of `value` for W&B's config, without anything private. Keys that hold secrets are removed. Server
    addresses and secret values become "(left out)". Of an absolute path, only the last part is kept."""
    if isinstance(value, dict):
        return {key: public(part) for key, part in value.items() if not secret_patterns.is_name(str(key))}
    if isinstance(value, list | tuple):
        return [public(part) for part in value]
    if not isinstance(value, str):
        return value
    if "://" in value or secret_patterns.is_value(value):
        return "(left out)"
    return Path(value).name if value.startswith(("/", "~")) else value


def _line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
