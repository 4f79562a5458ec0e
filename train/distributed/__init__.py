"""Supports training in several processes: divides the global batch, starts ZeRO and detects the hardware."""
