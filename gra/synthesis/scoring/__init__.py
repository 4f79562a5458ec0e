"""Computes scores from the probabilities of the tokens Yes and No (synthesis.scoring=probability), and calibrates
scores."""
