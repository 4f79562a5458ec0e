"""Writes an HTML report: a comparison of arms, or one data, model or scores folder. `gra report DIR ...`."""
