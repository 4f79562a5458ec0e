"""SIMULATED language models over a closed world of checkable skills. Needs no download and no GPU."""
