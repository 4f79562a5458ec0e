"""Tracks the progress of a run, and shows it on the terminal and in status.json."""
