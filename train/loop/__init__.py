"""Runs the training loop: TRL's trainer with its arguments, callbacks, checkpoints and validation.

The loss is TRL's (sft.loss_type, arguments.py): cross-entropy in chunks, computed only at trained positions on GPUs.
gra/private_api/trl.py makes it so on CPUs too; validation.py computes the loss of held-out samples.
"""
