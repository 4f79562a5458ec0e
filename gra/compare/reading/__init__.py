"""Reads the folders of stages and the logs of lm-eval, for comparisons and reports."""
