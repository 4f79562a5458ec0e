"""Supports training in several processes: division of the global batch, ZeRO, and detection of the hardware."""
