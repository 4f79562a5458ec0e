"""Checks, plans and runs an experiment's steps and shows their progress."""
