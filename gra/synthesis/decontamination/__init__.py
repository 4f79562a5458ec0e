"""Drops accepted samples that contain a piece of a benchmark item: sources of items, their n-grams, the filter."""
