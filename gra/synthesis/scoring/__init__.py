"""Scores from the probabilities of Yes and No (synthesis.scoring=probability), and their calibration."""
