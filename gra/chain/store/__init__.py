"""Keeps finished and unfinished steps on disk: fingerprints, manifests, the run store."""
