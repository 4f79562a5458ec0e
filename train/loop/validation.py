"""Computes the validation loss: the mean negative log-likelihood over the trained tokens of `sft.held_out`'s samples.

It is one mean over all trained tokens of the set, as the training loss is one mean over all trained tokens of a global
batch. TRL and transformers take a mean of batch means instead, which depends on the batch size. No random number is
drawn, so a run with validation ends with the same weights as a run without it. The validation loss does not depend on
`sft.loss_type`.
"""

from __future__ import annotations

from typing import Any

from gra.errors import Problem
from gra.private_api.transformers import model_for_forward, on_device
from gra.train.settings import SftSettings

LOSS = "eval_loss"  # transformers' key in the trainer's log


def problems(sft: SftSettings) -> list[Problem]:
    """Return a problem if `sft.eval_steps` has no effect because no samples are held out; else []."""
    if sft.eval_steps is None or sft.held_out is not None:
        return []
    message = f"{sft.eval_steps}, but sft.held_out=null: there are no samples to validate on"
    return [Problem("sft.eval_steps", message, "set sft.held_out=N (samples, or a share), or sft.eval_steps=null")]


def evaluate(trainer: Any) -> dict[str, float]:
    """Return the loss of `trainer.eval_dataset` in nats per token, and add it to the trainer's log. All processes of a
    run have to call this function.

    The rows are divided evenly among the processes, and each process computes batches of `per_device_train_batch_size`.
    All processes compute the same number of batches, so that sharded weights can be gathered. A process that has no
    rows left computes a filler batch, which does not count.
    """
    import torch

    rows, args = trainer.eval_dataset, trainer.args
    world, size = args.world_size, args.per_device_train_batch_size
    mine = list(range(args.process_index, len(rows), world))
    batches = -(-len(rows) // (world * size))
    model = model_for_forward(trainer)
    sums = torch.zeros(2, dtype=torch.float64, device=args.device)  # of the losses, of the tokens
    training = model.training
    model.eval()
    with torch.no_grad(), trainer.compute_loss_context_manager():
        for start in range(0, batches * size, size):
            chosen = mine[start : start + size]
            inputs = on_device(trainer, trainer.data_collator([rows[index] for index in chosen or [0]]))
            outputs = model(**inputs, use_cache=False, fused_lm_head=True)
            if chosen:
                sums += torch.stack([-outputs.log_probs.double().sum(), outputs.label_mask.sum().double()])
    if world > 1:
        torch.distributed.all_reduce(sums)
    metrics = {LOSS: float(sums[0] / sums[1])}
    trainer.log(metrics)
    model.train(training)
    trainer.control = trainer.callback_handler.on_evaluate(args, trainer.state, trainer.control, metrics)
    return metrics
