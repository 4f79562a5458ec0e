"""Composes a command line and its YAML files into an experiment's steps, and reports all faults together."""
