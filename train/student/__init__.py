"""Prepares the student: loading, quantised weights, new tokens, attention kernels."""
