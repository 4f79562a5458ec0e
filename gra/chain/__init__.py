"""Resolves an experiment into steps, fingerprints them, runs them on this machine and keeps the results in the run store."""
