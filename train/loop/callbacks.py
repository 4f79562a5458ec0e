"""Provides the callbacks of the training loop.

They print progress lines, send rows to W&B, raise an error if the loss is not finite, and decide when to save and validate.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.train.data import mixture
from gra.train.loop.validation import LOSS as VALIDATION
from gra.train.report import files
from gra.train.report.tracking import Tracker
from gra.train.settings import TrainSettings

if TYPE_CHECKING:
    from transformers import TrainerCallback

log = logging.getLogger(__name__)
SAY_EVERY = 15.0  # seconds between two progress lines
UNNAMED = {
    "runtime": True,
    "student": {"name"},
    "sft": {"name", "save_steps", "sharding"},
}  # a resumed run can change these


def attach(trainer: Any, settings: TrainSettings, inputs: dict[str, Path], output: Path) -> Tracker:
    """Add the callbacks of the training loop to `trainer`, and return the tracker, which logs to W&B. The caller has to
    finish the tracker.

    Only the process of rank 0 logs. In other processes the tracker does nothing.
    """
    options = settings.runtime.tracking
    if not trainer.is_world_process_zero():
        options = options.model_copy(update={"mode": "none"})
    place = [settings.model_dump(exclude=UNNAMED), str(output.resolve())]  # type: ignore[arg-type]
    run_id = hashlib.sha256(json.dumps(place, sort_keys=True).encode()).hexdigest()[:16]
    tracker = Tracker(options, output, public(settings, inputs), run_id)
    for name, folder in mixture.folders(inputs).items():
        tracker.use(name, folder)
    has_held_out = trainer.eval_dataset is not None
    trainer.add_callback(_callback(tracker, settings.sft.eval_steps if has_held_out else None, has_held_out))
    return tracker


def public(settings: TrainSettings, inputs: dict[str, Path]) -> dict[str, Any]:
    """Return the config that W&B shows. It contains the settings and the names of the input folders. Absolute paths are
    reduced to their last part.

    It contains no secret, because settings must not contain any (`gra.chain.execution.check`).
    """
    shown = settings.model_dump(mode="json", exclude={"runtime": {"tracking"}})
    return {**_short(shown), "inputs": {name: folder.name for name, folder in inputs.items()}}


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_short(part) for part in value]
    if isinstance(value, str) and value.startswith(("/", "~")):
        return files.folder_name(Path(value))
    return value


def _tracked(entry: dict[str, Any]) -> dict[str, float]:
    """Return the numbers in an entry of the trainer's log, for W&B. If log.csv has a column for a number, the number
    gets the column's name."""
    numbers = {key: value for key, value in entry.items() if isinstance(value, int | float) and math.isfinite(value)}
    if VALIDATION in numbers:
        return {"validation/loss": numbers[VALIDATION]}
    if "loss" not in numbers:
        return {}
    names = {key: column for column, key in files.COLUMNS.items()}
    return {f"train/{names.get(key, key)}": value for key, value in numbers.items() if key != "step"}


def _callback(tracker: Tracker, eval_steps: int | None, eval_at_end: bool) -> TrainerCallback:
    """Return the trainer's callback. Its class is made here, because importing transformers takes seconds."""
    from transformers import TrainerCallback

    class ProgressCallback(TrainerCallback):
        logged_at = time.monotonic()

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
            state.save_steps = args.save_steps  # a checkpoint stores the old value, which would override a changed one
            tracker.replay((entry["step"], _tracked(entry)) for entry in state.log_history)

        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
            logs = kwargs["logs"]
            if VALIDATION in logs and state.is_world_process_zero:
                log.info("step %d of %d, validation loss %.4f", state.global_step, state.max_steps, logs[VALIDATION])
            if "loss" in logs:
                files.finite(logs["loss"], state.global_step)
                due = time.monotonic() - self.logged_at > SAY_EVERY or state.global_step == state.max_steps
                if due and state.is_world_process_zero:
                    self.logged_at = time.monotonic()
                    speed = f", {logs['tokens_per_second']:.0f} tokens/s" if "tokens_per_second" in logs else ""
                    log.info("step %d of %d, loss %.4f%s", state.global_step, state.max_steps, logs["loss"], speed)
            if row := _tracked(logs):
                tracker.log(row, state.global_step)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
            last = state.global_step >= state.max_steps
            if last:
                control.should_save = False  # the model is written next
                control.should_log = True
            if (eval_at_end and last) or (eval_steps is not None and state.global_step % eval_steps == 0):
                control.should_evaluate = True

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
            if state.global_step < state.max_steps:  # stopped by a signal
                tracker.finish({"train/steps": float(state.global_step)})

    return ProgressCallback()
