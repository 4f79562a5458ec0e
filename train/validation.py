"""The validation loss: mean negative log-likelihood over the trained tokens of the held-out samples (`sft.held_out`).

Taken by token over the whole set, as the training loss is over a global batch, and not as a mean of batch means (which TRL and
transformers take, and which depends on the batch size). It draws no random number, so a run with it ends with the weights of a
run without. Under `sft.loss_type=dft` it is the plain likelihood all the same.
"""

from __future__ import annotations

from typing import Any

from gra.errors import Problem
from train.settings import SftSettings

LOSS = "eval_loss"  # the key in the trainer's log, as transformers has it


def problems(sft: SftSettings) -> list[Problem]:
    """What a recipe asks for in vain."""
    if sft.eval_steps is None or sft.held_out is not None:
        return []
    message = f"{sft.eval_steps}, but sft.held_out=null: there is nothing to validate on"
    return [Problem("sft.eval_steps", message, "set sft.held_out=N (samples, or a share), or sft.eval_steps=null")]


def evaluate(trainer: Any) -> dict[str, float]:
    """The loss in nats a token of `trainer.eval_dataset`, put into the trainer's log; all processes of a run call it together.

    Every process takes its share of the rows in batches of `per_device_train_batch_size`, all of them equally many, so that
    weights that are sharded over the processes can be gathered; what fills up a share counts nothing.
    """
    import torch

    rows, args = trainer.eval_dataset, trainer.args
    world, size = args.world_size, args.per_device_train_batch_size
    mine = list(range(args.process_index, len(rows), world))
    batches = -(-len(rows) // (world * size))
    model = trainer._wrap_model(trainer.model, training=False)
    sums = torch.zeros(2, dtype=torch.float64, device=args.device)  # of the losses, of the tokens
    training = model.training
    model.eval()
    with torch.no_grad(), trainer.compute_loss_context_manager():
        for start in range(0, batches * size, size):
            chosen = mine[start : start + size]
            inputs = trainer._prepare_inputs(trainer.data_collator([rows[index] for index in chosen or [0]]))
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
