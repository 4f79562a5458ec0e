"""Decides what is evaluated: tasks, their items from the hub or local files, the subset, and the conditions."""
