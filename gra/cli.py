"""Runs the subcommands of `gra`. Slow imports are made only when a command needs them, so help and error messages about
typos appear at once."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from gra import __version__, spelling
from gra.cli_help import HELP, PAGES
from gra.completion import complete
from gra.errors import EXIT_CONFIG, GraError
from gra.pipes import outlive_reader
from gra.stage_commands import COMMANDS as STAGES
from gra.stage_commands import asks_for_help, fetch_suite, show_help

COMMANDS = ("run", "plan", "compare")  # of a whole experiment
PLAIN = {  # commands with their own parser: module and function, which gets the words and returns the exit code
    "status": "gra.cluster.status:status",
    "cancel": "gra.cluster.status:cancel",
    "probe": "gra.chain.execution.probe:main",
    "claims": "gra.compare.paper.command:main",
    "regate": "gra.synthesis.regating.sweep:main",
    "analyze": "gra.analysis.command:main",
    "inspect": "gra.synthesis.output.inspect:main",
    "blind": "gra.compare.blind.command:main",
    "export": "gra.export.command:main",
    "push": "gra.export.push:main",
    "publish": "gra.publish:main",
    "track": "gra.track:main",
}
OTHERS = (*PLAIN, "submit", "report", "fetch", "completion")  # commands with their own help
APPS = {command: told.app for command, told in PAGES.items()}  # command -> Hydra config of its keys
ALIKE = {  # synonyms of commands
    **dict.fromkeys(("synth", "synthesis", "synthesise", "generate"), "synthesize"),
    **dict.fromkeys(("tune", "finetune", "sft"), "train"),
    **dict.fromkeys(("evaluate", "score"), "eval"),
}


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
        elif command in (*COMMANDS, "submit", "probe") and asks_for_help(rest):
            return show_help(command, _as_overrides(rest) if command in COMMANDS else rest)
        elif command in COMMANDS:
            return _hydra_command(command, rest)
        elif command == "submit":
            from gra.cluster.submit import main as submit

            return submit(rest)
        elif command in PLAIN:
            module, _, function = PLAIN[command].partition(":")
            code: int = getattr(import_module(module), function)(rest)
            return code
        elif command == "report":
            from gra.analysis.recorded_seeds import recorded_seeds
            from gra.compare.report.command import main as report
            from gra.simulation.world import judge

            return report(rest, judge, recorded_seeds)
        elif command in STAGES:
            return STAGES[command](rest)
        elif command == "fetch" and any("=" in word for word in rest):  # a suite's benchmarks
            return fetch_suite(rest)
        elif command == "fetch":
            from gra.weights.command import main as fetch

            return fetch(rest)
        elif command == "completion":
            return complete(rest, [*COMMANDS, *STAGES, *OTHERS], APPS)
        else:
            return _unknown(command, rest)
    except GraError as error:
        print(error, file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return 130
    return 0


def _names_folders(words: list[str]) -> bool:
    """Return whether the arguments of `gra compare` name folders; if not, they are Hydra's flags and key=value. A
    single argument without `=` must be an existing path, because otherwise it may be meant as the name of an
    experiment."""
    if any(_names_run(word) for word in words) or _names_unknown(words):
        return True
    if not words or words[0].startswith("-") or ("=" in words[0] and not Path(words[0]).is_dir()):
        return False
    return Path(words[0]).exists() or sum(not word.startswith("-") and "=" not in word for word in words) > 1


def _names_unknown(words: list[str]) -> bool:
    """Return whether the words are probably NAME=FOLDER with folders that do not exist: the words set no `experiment`,
    and no NAME is a key of the config."""
    from gra.chain.config.not_key_value import top_keys

    given = [word.partition("=")[0] for word in words if "=" in word and not word.startswith("-")]
    if not given or "experiment" in given or any(not name.isidentifier() for name in given):
        return False
    return not set(top_keys("chain")).intersection(given)


def _names_run(word: str) -> bool:
    """Return whether a word is NAME=FOLDER and the folder exists and holds an evaluation."""
    if "=" not in word or word.startswith("-") or not Path(word.partition("=")[2]).exists():
        return False
    from gra.compare.several import names_run

    return names_run(word)


def _hydra_command(command: str, rest: list[str]) -> int:
    sys.argv = ["gra", *_as_overrides(rest)]
    from gra.chain.execution.commands import main as run

    return run(command)


def _as_overrides(words: list[str]) -> list[str]:
    """Return the words with the flags of a comparison as overrides of `experiment.compare`. All other words stay as
    they are."""
    found: list[str] = []
    contrasts: list[str] = []
    rest = list(words)
    while rest:
        flag, sign, value = rest.pop(0).partition("=")
        if flag == "--items-only":
            found.append("++experiment.compare.items_only=true")
        elif flag == "--power":
            takes = not sign and bool(rest) and rest[0].replace(".", "", 1).isdigit()
            found.append(f"++experiment.compare.power={value or (rest.pop(0) if takes else '2')}")
        elif flag in ("--contrast", "--paper") and (sign or rest):
            value = value if sign else rest.pop(0)
            contrasts += [value] if flag == "--contrast" else []
            found += [f"++experiment.compare.paper.block='{value}'"] if flag == "--paper" else []
        else:
            found.append(flag + sign + value)
    listed = ",".join(f"'{text}'" for text in contrasts)
    return [*found, *([f"++experiment.compare.contrasts=[{listed}]"] if contrasts else [])]


def _as_keys(words: list[str]) -> list[str]:
    """The words with `--key value` and `--key=value` rewritten as Hydra's `key=value`."""
    found: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("--") and word not in ("--help", "--cfg", "--info", "--multirun"):
            value = (
                rest.pop(0) if "=" not in word and rest and not rest[0].startswith("-") and "=" not in rest[0] else None
            )
            word = (
                word.lstrip("-").replace("-", "_") if value is None else f"{word.lstrip('-').replace('-', '_')}={value}"
            )
        found.append(word)
    return found


def _experiments() -> list[str]:
    from gra.chain.config.kinds import all_options

    return all_options("experiment")


def _unknown(command: str, rest: list[str]) -> int:
    """Print that the command is unknown, with a suggestion, and return the exit code.

    There is a suggestion for a misspelt command, a synonym such as `sft`, the name of an experiment, and a flag or
    key=value without a command.
    """
    import shlex

    near = spelling.near(command, [*COMMANDS, *STAGES, *OTHERS, *ALIKE])
    if command.startswith("--") and (flag := spelling.near(command, ["--help", "--version"])):
        hint = f"did you mean `gra {flag[0]}`?"
    elif "=" in command:
        hint = f"start with a command: did you mean `{shlex.join(['gra', 'run', command, *rest])}`?"
    elif near:
        meant = ALIKE.get(near[0], near[0])
        hint = f"did you mean `{shlex.join(['gra', meant, *(_as_keys(rest) if meant in APPS else rest)])}`?"
    elif experiment := spelling.near(command, _experiments(), cutoff=0.8):
        hint = f"did you mean `{shlex.join(['gra', 'run', f'experiment={experiment[0]}', *rest])}`?"
    else:
        hint = "see gra --help"
    print(f"gra: unknown command `{command}`\n    -> {hint}", file=sys.stderr)
    return EXIT_CONFIG


if __name__ == "__main__":
    sys.exit(main())
