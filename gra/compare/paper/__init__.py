"""Reads the numbers that the paper published, shows them beside the user's runs, and judges the paper's claims by fixed
rules."""
