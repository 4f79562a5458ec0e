"""Eyes on the training loop: lines of progress, rows for W&B, an end to a run whose loss is no number, and when to save."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from train import report

if TYPE_CHECKING:
    from transformers import TrainerCallback

    from train.tracking import Tracker

log = logging.getLogger(__name__)
SAY_EVERY = 15.0  # seconds between two lines of progress


def callback(tracker: Tracker) -> TrainerCallback:
    """The trainer's callback. (A function: importing transformers takes seconds.)"""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        said = time.monotonic()

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
            state.save_steps = args.save_steps  # a checkpoint brings its own number, which would go before a changed one

        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
            logs = kwargs["logs"]
            if "loss" not in logs:
                return
            row = report.rows([{**logs, "step": state.global_step}])
            report.mean_loss(row)  # raises TrainError if it is not finite
            tracker.log({f"train/{key}": value for key, value in row[0].items() if value is not None}, state.global_step)
            if time.monotonic() - self.said > SAY_EVERY or state.global_step == state.max_steps:
                self.said = time.monotonic()
                log.info("step %d of %d, loss %.4f", state.global_step, state.max_steps, logs["loss"])

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
            if state.global_step >= state.max_steps:
                control.should_save = False  # the model itself is written next
                control.should_log = True

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
            tracker.finish({"train/steps": float(state.global_step)})

    return Watch()
