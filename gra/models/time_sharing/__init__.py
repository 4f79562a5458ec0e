"""Loads one model at a time: calls are queued by model, and the models take turns."""
