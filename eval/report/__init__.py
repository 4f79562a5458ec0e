"""Turns the results of an evaluation into scores.json, samples.parquet, the terminal's tables and a W&B run."""
