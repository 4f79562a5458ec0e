"""Runs the training loop: TRL's trainer with its arguments, callbacks, checkpoints and validation."""
