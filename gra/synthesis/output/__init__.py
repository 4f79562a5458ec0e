"""Writes and reads a run's results: data set, card, statistics, cost, and `gra inspect`."""
