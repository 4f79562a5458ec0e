"""SIMULATED language models over a closed world of checkable skills: runs anywhere, downloads nothing."""
