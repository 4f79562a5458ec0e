"""The command `gra`: `gra --help`. Imports nothing heavy, so that help and typing errors are answered at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gra import __version__
from gra.errors import EXIT_CONFIG, GraError
from gra.pipes import outlive_reader

HELP = """\
usage: gra COMMAND ...

A committee of small LLMs writes instruction data; students are tuned on it, scored, and compared.

  gra run experiment=NAME [key=value ...]       run what is not done yet of an experiment, then print its table
  gra plan experiment=NAME [key=value ...]      its steps: what is done, what would run, with what inputs
  gra compare experiment=NAME [key=value ...]   the table again, from what is finished
  gra probe pool=NAME seeds=NAME [key=value ...]  whether the pool's models can judge, before a run is paid for
  gra compare FOLDER FOLDER                     two evaluated runs, item by item
  gra inspect DIR [DIR ...]                     what a data folder holds: kept, dropped and why, models, files
  gra inspect DIR --sample ID                   one sample's whole life: gate, scores, prompts, replies
  gra blind draw NAME=DIR ... --output DIR      a sheet to read samples blind to their arm; gra blind rates DIR counts the labels
  gra fetch models|students [NAME ...]          weights of the models that pools name, into the cache; no NAME: lists them
  gra publish RUN_DIR results/NAME              copy a run's table and report to where results are kept
  gra completion bash|zsh                       tab completion: eval "$(gra completion bash)"

  gra COMMAND --help                            more on a command
  gra --version

Each stage is also a command by itself: python -m gra.synthesis, python -m train, python -m eval (all take --help).
"""

HYDRA_HELP = """\
usage: gra {command} experiment=NAME [key=value ...] [--cfg job] [-m] [--info] [--config-dir DIR]

{text}

experiments: {experiments}
groups (group=option): {groups}

  key=value        change a key, e.g. synthesis.rounds=2 seed=1   (+key=value adds one)
  store=DIR        the run store; runs/store
  results=DIR      where the table and the report go; runs/results/NAME
  --cfg job        print the composed config and stop
  -m               sweep: seed=0,1 runs the command for both
  --config-dir DIR a folder of your own with YAML files, e.g. DIR/experiment/mine.yaml
  --hydra-help     Hydra's other flags

examples:
{examples}
"""

COMMANDS = {
    "run": (
        "Run every step of the experiment that is not done yet, steps side by side (cluster.max_parallel), then print the table.\n"
        "Killed at any moment, the same command goes on from there; run again, it only prints the table.",
        ["experiment=quickstart", "experiment=quickstart experiment.replicates=[0,1,2]", "-m experiment=quickstart seed=0,1"],
    ),
    "plan": (
        "Print the experiment's steps: done / partly done / would run, inputs, folder in the store, hash. Runs nothing.",
        ["experiment=quickstart", "experiment=quickstart synthesis.tau=7"],
    ),
    "compare": (
        "Print the experiment's table again from what is finished, and write runs/results/NAME/table.{md,csv} and report.html.\n"
        "With two scores folders in place of an experiment (gra compare FOLDER FOLDER [--json]): their difference, item by item.\n"
        "--items-only: intervals and stars over items, for just these trained models, where arms were trained once.",
        ["experiment=quickstart", "experiment=quickstart --items-only"],
    ),
}

OTHERS = ("probe", "inspect", "blind", "fetch", "publish", "completion")  # commands with a help of their own

STAGES = {
    **dict.fromkeys(("synth", "synthesis", "synthesize", "generate"), "gra.synthesis"),
    **dict.fromkeys(("train", "tune", "finetune"), "train"),
    **dict.fromkeys(("eval", "evaluate"), "eval"),
    "fetch": "eval.fetch",
    "prepare": "train.prepare",
}  # words for a stage -> the module that is its command

BASH = """\
_gra_completion() {
  local words
  words=$(COMP_LINE="${COMP_LINE:0:$COMP_POINT}" COMP_POINT="$COMP_POINT" "${COMP_WORDS[0]}" completion query 2>/dev/null)
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _gra_completion gra
"""
ZSH = "autoload -U +X bashcompinit && bashcompinit\n" + BASH


def main() -> int:
    """Entry point; returns the exit code."""
    outlive_reader()
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0 if arguments else EXIT_CONFIG
    command, rest = arguments[0], arguments[1:]
    try:
        if command == "--version":
            print(f"gra {__version__}")
        elif command == "compare" and _names_folders(rest):
            from gra.compare.pair import main as pair

            return pair(rest)
        elif command in COMMANDS:
            return _hydra_command(command, rest)
        elif command == "probe":
            from gra.chain.probe import main as probe

            return probe(rest)
        elif command == "inspect":
            from gra.synthesis.inspect import main as inspect

            return inspect(rest)
        elif command == "blind":
            from gra.compare.blind import main as blind

            return blind(rest)
        elif command == "fetch" and not any("=" in word for word in rest):  # else a suite: python -m eval.fetch
            from gra.weights.command import main as fetch

            return fetch(rest)
        elif command == "publish":
            from gra.publish import main as publish

            return publish(rest)
        elif command == "completion":
            return _completion(rest)
        else:
            return _unknown(command, rest)
    except GraError as error:
        print(error, file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return 130
    return 0


def _names_folders(words: list[str]) -> bool:
    """Whether the words name places and are not Hydra's (flags, key=value). A single one that is none is perhaps an experiment."""
    if not words or words[0].startswith("-") or ("=" in words[0] and not Path(words[0]).is_dir()):
        return False
    return Path(words[0]).exists() or sum(not word.startswith("-") and "=" not in word for word in words) > 1


def _hydra_command(command: str, rest: list[str]) -> int:
    if any(word in ("-h", "--help") for word in rest):
        print(_help(command), end="")
        return 0
    sys.argv = ["gra", *("++experiment.compare.items_only=true" if word == "--items-only" else word for word in rest)]
    from gra.chain.commands import main as run

    return run(command)


def _help(command: str) -> str:
    from gra.paths import conf_dir

    text, examples = COMMANDS[command]
    conf = conf_dir()
    groups = sorted(p.name for p in conf.iterdir() if p.is_dir() and p.name != "experiment")
    options = {group: sorted(p.stem for p in (conf / group).glob("*.yaml")) for group in groups}
    return HYDRA_HELP.format(
        command=command,
        text=text,
        experiments=", ".join(_experiments()),
        groups="".join(f"\n  {group}: {', '.join(found)}" for group, found in options.items()),
        examples="\n".join(f"  gra {command} {example}" for example in examples),
    )


def _completion(rest: list[str]) -> int:
    """Print the shell's script, or (query, called by that script) the words that could come next in COMP_LINE."""
    if rest == ["query"]:
        words = os.environ.get("COMP_LINE", "").split(" ")
        if len(words) <= 2:
            print(" ".join([*COMMANDS, *OTHERS]))
        elif words[1] in COMMANDS:
            os.environ["COMP_LINE"] = " ".join(["gra", *words[2:]])  # Hydra's engine knows no subcommands
            sys.argv = ["gra", "-sc", "query=bash"]
            from gra.chain.commands import main as run

            return run(words[1])
        return 0
    scripts = {"bash": BASH, "zsh": ZSH}
    if len(rest) != 1 or rest[0] not in scripts:
        print('usage: eval "$(gra completion bash)"   (or zsh)', file=sys.stderr)
        return EXIT_CONFIG
    print(scripts[rest[0]], end="")
    return 0


def _as_keys(words: list[str]) -> list[str]:
    """The words with `--key value` and `--key=value` written as `key=value`, Hydra's way."""
    found: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("--") and word not in ("--help", "--cfg", "--info", "--multirun"):
            value = rest.pop(0) if "=" not in word and rest and not rest[0].startswith("-") and "=" not in rest[0] else None
            word = word.lstrip("-").replace("-", "_") if value is None else f"{word.lstrip('-').replace('-', '_')}={value}"
        found.append(word)
    return found


def _experiments() -> list[str]:
    from gra.paths import conf_dir

    folder = conf_dir() / "experiment"
    return sorted(p.relative_to(folder).with_suffix("").as_posix() for p in folder.rglob("*.yaml"))


def _unknown(command: str, rest: list[str]) -> int:
    """Tell a word that is no command: a stage's name, a flag or key=value without a command, or a misspelt command."""
    import difflib
    import shlex

    near = difflib.get_close_matches(command, [*COMMANDS, *OTHERS, *STAGES], n=1)
    if command.startswith("--") and (flag := difflib.get_close_matches(command, ["--help", "--version"], n=1)):
        hint = f"did you mean `gra {flag[0]}`?"
    elif "=" in command:
        hint = f"a command comes first: did you mean `{shlex.join(['gra', 'run', command, *rest])}`?"
    elif near and near[0] in STAGES:
        hint = f"did you mean `{shlex.join(['python', '-m', STAGES[near[0]], *_as_keys(rest)])}`?"
    elif near:
        hint = f"did you mean `{shlex.join(['gra', near[0], *rest])}`?"
    elif experiment := difflib.get_close_matches(command, _experiments(), n=1, cutoff=0.8):
        hint = f"did you mean `{shlex.join(['gra', 'run', f'experiment={experiment[0]}', *rest])}`?"
    else:
        hint = "see gra --help"
    print(f"gra: no command `{command}`\n    -> {hint}", file=sys.stderr)
    return EXIT_CONFIG


if __name__ == "__main__":
    sys.exit(main())
