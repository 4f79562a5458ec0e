"""An argparse parser that suggests the nearest known flag for a misspelt one."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

from gra import spelling


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that accepts no abbreviated flags and suggests the nearest known flag for each unknown one."""

    def __init__(self, prog: str, description: str | None, **more: object):
        super().__init__(prog, description=description, allow_abbrev=False, **more)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Print the usage, the fault and suggestions for unknown flags, then exit with code 2."""
        flags = [flag for flag in self._option_string_actions if flag.startswith("--")]
        known, hints = {flag: flag for flag in flags} | {flag.lstrip("-"): flag for flag in flags}, []
        unknown = message.partition("unrecognized arguments: ")[2]
        for word in re.findall(r"(?:^|\s)(-[^\s=]+)", unknown):
            spellings = (word.replace("_", "-"), word.lstrip("-"))
            near = [name for text in spellings for name in spelling.near(text, known)]
            hints += [f"{word}: did you mean {known[near[0]]}?"] if near else []
        super().error("\n    -> ".join([message, *(hints or [f"see {self.prog} --help"])]))
