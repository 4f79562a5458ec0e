"""Private attributes of transformers. Written for transformers 5.23.0. Two things are missing from the public API: a
model's attention implementation, and the sum of losses that the trainer keeps between two rows of its log. Checkpoints
do not contain this sum either."""

from __future__ import annotations

from typing import Any

from gra.private_api import moved

READ_FROM = "transformers 5.23.0"
NAMES = (
    "transformers.PreTrainedConfig:_attn_implementation",
    "transformers.TrainingArguments:_n_gpu",
    "transformers.Trainer:_globalstep_last_logged",
    "transformers.Trainer:_tr_loss",
    "transformers.Trainer._prepare_inputs",
    "transformers.Trainer._wrap_model",
    # overridden by the project's trainer
    "transformers.Trainer._get_train_sampler",
    "transformers.Trainer._maybe_log_save_evaluate",
    "transformers.Trainer._save_checkpoint",
)


def attention_of(config: Any) -> str:
    """Return the attention implementation that the model uses, e.g. `sdpa`."""
    return str(config._attn_implementation)


def use_one_gpu(arguments: Any) -> None:
    """Keep the trainer from wrapping the model in nn.DataParallel, which would enlarge the global batch."""
    arguments._n_gpu = 1


def model_for_forward(trainer: Any) -> Any:
    """Return the trainer's model, wrapped as its backend needs it for a forward pass."""
    return trainer._wrap_model(trainer.model, training=False)


def on_device(trainer: Any, batch: Any) -> Any:
    """Return the collated batch on the trainer's device."""
    return trainer._prepare_inputs(batch)


def unlogged_loss(trainer: Any) -> tuple[int, Any]:
    """Return the step of the last row of the trainer's log, and the sum of the losses since that step as a tensor."""
    _need(trainer, "_globalstep_last_logged", "_tr_loss")
    return trainer._globalstep_last_logged, trainer._tr_loss


def set_unlogged_loss(trainer: Any, since: int, loss: Any) -> None:
    """Set two values of the trainer. `since`: the step of the last row of the trainer's log. `loss`: the sum of the
    losses since that step, as a tensor. Call this function after training has begun, because the start of training
    resets both values."""
    _need(trainer, "_globalstep_last_logged", "_tr_loss")
    trainer._globalstep_last_logged, trainer._tr_loss = since, loss


def _need(trainer: Any, *names: str) -> None:
    for name in names:
        if not hasattr(trainer, name):
            raise moved(f"transformers.Trainer:{name}", READ_FROM)
