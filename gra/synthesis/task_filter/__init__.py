"""Learns from labelled instructions which texts are tasks, and rejects instructions that are probably none."""
