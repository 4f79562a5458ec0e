"""Generates the reference of all configuration keys and their JSON schema from the settings classes.

`python -m gra.config_reference` writes docs/configuration.md and docs/config.schema.json. `gra COMMAND --help` shows
the same descriptions (command_help.py).
"""
