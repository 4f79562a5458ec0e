"""PURE: the statistics of a comparison: intervals over items and trainings, contrasts, detectable differences."""
