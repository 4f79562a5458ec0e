"""Re-gating: decides, without a call, what other thresholds, fewer reviewers or another rule would have kept of a recorded
synthesis."""
