"""Extends TRL's trainer: marks complete checkpoints, makes the order of samples independent of the number of processes,
and sends no telemetry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.train.data import order
from gra.train.loop import checkpoints, validation
from gra.train.report.throughput import ThroughputLogging

if TYPE_CHECKING:
    from trl import SFTTrainer


def trainer_class(facts: dict[str, Any]) -> type[SFTTrainer]:
    """Return this project's subclass of TRL's trainer (see the module's docstring). `facts`: values that are written
    into the file whole.json of every checkpoint, which marks the checkpoint as complete.

    The class is defined inside this function, because importing TRL takes seconds. With several processes, the last row
    of the training set must be a blank row, whose only token is not trained (`order.with_blank`).
    """
    from trl import SFTTrainer

    class Trainer(ThroughputLogging, SFTTrainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            args, world = self.args, self.args.world_size
            grouped = args.train_sampling_strategy == "group_by_length"
            if world == 1 and not grouped:
                return super()._get_train_sampler(train_dataset)
            dataset: Any = self.train_dataset if train_dataset is None else train_dataset
            multiple = args.per_device_train_batch_size * world
            batch, lengths = multiple * args.gradient_accumulation_steps, order.lengths(dataset) if grouped else None
            samples, multiple = (len(dataset), 1) if world == 1 else (len(dataset) - 1, multiple)
            seed = int(args.data_seed or 0)
            return order.sampler(samples, seed, multiple, lambda: order.epoch_of(self.state), lengths, batch)

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            super()._save_checkpoint(model, trial)
            counts = checkpoints.counts(self)
            self.accelerator.wait_for_everyone()  # every process has written its part
            if self.args.should_save:
                folder = Path(str(self.args.output_dir)) / f"{checkpoints.PREFIX}{self.state.global_step}"
                checkpoints.mark(folder, **counts, **facts)

        def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
            return validation.evaluate(self)

        def _send_telemetry(self) -> None:
            return

        def create_model_card(self, *_: Any, **__: Any) -> None:
            return

    return Trainer
