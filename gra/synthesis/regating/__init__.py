"""Re-gating: finds out, without a call, which samples of a recorded synthesis would have been kept with other
thresholds, fewer reviewers or another rule."""
