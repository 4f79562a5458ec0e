"""Decides what is evaluated: the tasks, the files or hub data sets of their items, and the items that are drawn."""
