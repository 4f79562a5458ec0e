"""Measures data sets: variety, distance to the seeds, difficulty, and how their reviewers judge (gra analyze DIR)."""
