"""Reads what a comparison needs from the folders of stages, or from the logs of lm-eval."""
