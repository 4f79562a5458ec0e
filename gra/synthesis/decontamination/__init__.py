"""Drops accepted samples that contain a piece of a benchmark item."""
