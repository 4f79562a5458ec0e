"""Runs the training loop: TRL's trainer with its arguments, callbacks, checkpoints and validation.

The loss is TRL's (sft.loss_type, arguments.py): cross-entropy in chunks. On GPUs, TRL computes it only at trained
positions; gra/private_api/trl.py makes TRL do the same on CPUs. validation.py computes the loss of held-out samples.
"""
