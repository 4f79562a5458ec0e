"""Finds out, without calling a model, which samples of a finished synthesis would have been kept with other thresholds,
fewer reviewers or another rule (re-gating)."""
