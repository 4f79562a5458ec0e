"""Private names of hydra-core and of argparse, which hydra-core uses. Written for hydra-core 1.3.8.

GRA finds all faults of a command line before it calls `hydra.main`, which reports only one fault at a time. For this it
needs Hydra's parser of flags, which is not public.
"""

from __future__ import annotations

import argparse
from typing import Any

from gra.private_api import found

READ_FROM = "hydra-core 1.3.8"
_PARSER = "hydra._internal.utils.get_args_parser"
NAMES = (
    _PARSER,
    "hydra.core.override_parser.types.Override:_value",
    "argparse.ArgumentParser:_option_string_actions",
)


def arguments_parser() -> argparse.ArgumentParser:
    """Return the parser of Hydra's own flags and of overrides."""
    parser: argparse.ArgumentParser = found(_PARSER, READ_FROM)()
    return parser


def flags(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Return the flags that `parser` knows, e.g. `--multirun` and `-m`, each with its action."""
    return parser._option_string_actions


def raw_value(override: Any) -> Any:
    """Return the value of a parsed override unchanged. `Override.value()` would expand a sweep."""
    return override._value
