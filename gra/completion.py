"""Completes `gra` commands in bash and zsh; Hydra proposes keys and options. Enable it with: `eval "$(gra completion
bash)"`"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gra.errors import EXIT_CONFIG

MOST = 200  # most ids that are proposed at once
BASH = """\
_gra_completion() {
  local words
  words=$(COMP_LINE="${COMP_LINE:0:$COMP_POINT}" COMP_POINT="$COMP_POINT" "${COMP_WORDS[0]}" completion query 2>/dev/null)
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _gra_completion gra
"""
SCRIPTS = {"bash": BASH, "zsh": "autoload -U +X bashcompinit && bashcompinit\n" + BASH}


def complete(words: Sequence[str], commands: Sequence[str], apps: dict[str, str]) -> int:
    """Run the command `gra completion` and return its exit code. `words`: the arguments of the command.

    `gra completion bash` (or zsh) prints the shell's completion script. That script calls `gra completion query`, which
    prints the words that can complete the command line in the environment variable COMP_LINE. `commands`: the
    subcommands of gra. `apps`: subcommand -> name of its Hydra config.
    """
    if list(words) == ["query"]:
        typed = os.environ.get("COMP_LINE", "").split(" ")
        if len(typed) <= 2:
            print(" ".join(commands))
        elif typed[1] == "inspect" and typed[-2] == "--sample":
            print(" ".join(_samples(typed[2:-2], typed[-1])))
        elif typed[1] in apps:
            os.environ["COMP_LINE"] = " ".join(["gra", *typed[2:]])  # Hydra's completion expects no subcommand
            sys.argv = ["gra", "-sc", "query=bash"]
            from gra.chain.execution.app import hydra_main

            return hydra_main(lambda *_: None, apps[typed[1]])
        return 0
    if len(words) != 1 or words[0] not in SCRIPTS:
        print('usage: eval "$(gra completion bash)"   (or zsh)', file=sys.stderr)
        return EXIT_CONFIG
    print(SCRIPTS[words[0]], end="")
    return 0


def _samples(words: Sequence[str], begun: str) -> list[str]:
    """Ids of the folder's samples that begin with `begun`; [] if no folder can be read."""
    from gra.errors import StoreError
    from gra.synthesis.output.inspect_summary import TABLES, read_rows

    folders = [Path(word) for word in words if not word.startswith("-")]
    try:
        rows = [row for folder in folders[:1] for name in TABLES for row in read_rows(folder / name, ("id",))]
    except StoreError:
        return []
    return [name for row in rows if (name := str(row["id"])).startswith(begun)][:MOST]
