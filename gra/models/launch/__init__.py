"""Starts model servers and ends them with the run."""
