"""argparse with "did you mean": a misspelt flag is told together with the one that was probably meant."""

from __future__ import annotations

import argparse
import difflib
import re
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose flags must be written in full, and which names the nearest one for each that it does not know."""

    def __init__(self, prog: str, description: str | None, **more: object):
        super().__init__(prog, description=description, allow_abbrev=False, **more)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Print usage, the fault and what was probably meant; ends the process with 2."""
        flags = [flag for flag in self._option_string_actions if flag.startswith("--")]
        known, hints = {flag: flag for flag in flags} | {flag.lstrip("-"): flag for flag in flags}, []
        unknown = message.partition("unrecognized arguments: ")[2]
        for word in re.findall(r"(?:^|\s)(-[^\s=]+)", unknown):
            spellings = (word.replace("_", "-"), word.lstrip("-"))
            near = [name for text in spellings for name in difflib.get_close_matches(text, known, n=1)]
            hints += [f"{word}: did you mean {known[near[0]]}?"] if near else []
        super().error("\n    -> ".join([message, *(hints or [f"{self.prog} --help shows what can be given"])]))
