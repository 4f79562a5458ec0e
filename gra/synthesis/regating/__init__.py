"""Re-gating: what other thresholds, fewer reviewers or another rule would have kept of a recorded synthesis, without a call."""
