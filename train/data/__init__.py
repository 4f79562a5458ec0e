"""Turns data folders into the samples that are trained on: rows, mixture, selection, tokens, order."""
