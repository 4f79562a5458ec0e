"""PURE: the statistics of a comparison: intervals over items and training runs, contrasts, detectable differences."""
