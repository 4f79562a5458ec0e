"""Resolves an experiment into steps, computes their fingerprints, runs them on this machine and keeps their results in the run
store."""
