"""Runs lm-eval on a model and keeps every reply on disk."""
