"""Loads one model at a time. Calls are queued by model, and the models take turns."""
