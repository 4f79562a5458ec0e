"""Estimates the memory of a training step, chooses the number of sequences per forward pass, and explains out-of-memory errors."""
