"""Writes the reports of a training: logs, figures, the model card, throughput, and the W&B run."""
