"""Defines the commands of single stages: `gra synthesize`, `merge`, `refine`, `train`, `prepare`, `eval`, `fetch`, `rescore`.

Each command except `rescore` has a config (conf/*_app.yaml) and takes Hydra overrides (KEY=VALUE) of it, among them
`output=DIR`. `gra COMMAND --help` lists the keys. In a clone, `python -m gra.synthesis`, `python -m train` and `python
-m eval` are the same commands.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence


def synthesize(words: Sequence[str]) -> int:
    """Make a data folder from seeds. With the arguments `shard=i/n round=R`, make only one of n parts (shards) of a
    round. With the arguments `merge round=R`, merge the shards of one round. With `merge` but without `round=R`, make
    the data folder from the shards of all rounds."""
    if asks_for_help(words):
        return show_help("synthesize", words)
    from gra.errors import ConfigError
    from gra.synthesis.engine.sharding import rewrite

    try:
        kind, rewritten = rewrite(words)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return error.code
    return _stage("synthesize", f"gra.synthesis.{kind}.run", "synthesis_app", rewritten)


def merge(words: Sequence[str]) -> int:
    """Merge the shards (parts) of one round. Without `round=R`, make the data folder from the shards of all rounds."""
    return show_help("merge", words) if asks_for_help(words) else synthesize(["merge", *words])


def refine(words: Sequence[str]) -> int:
    """Make a data folder from an existing data set. Rewrite, regenerate or keep its responses, then review them."""
    return _stage("refine", "gra.synthesis.refine.run", "refine_app", words)


def train(words: Sequence[str]) -> int:
    """Make a model folder from a data folder."""
    from gra.train.worker import quiet_unless_first

    quiet_unless_first()
    return _stage("train", "gra.train.stage.run", "train_app", words)


def prepare(words: Sequence[str]) -> int:
    """Tokenise a data folder, which needs no GPU, before GPUs are requested for the training."""
    return _stage("prepare", "gra.train.prepare.run", "prepare_app", words)


def evaluate(words: Sequence[str]) -> int:
    """Make a scores folder from a model folder."""
    return _stage("eval", "gra.eval.stage.run", "eval_app", words)


def fetch_suite(words: Sequence[str]) -> int:
    """Download a suite's benchmarks from the hub into a folder."""
    if asks_for_help(words):
        return show_help("fetch", words)
    from gra.chain.execution.app import hydra_main
    from gra.eval.fetch import fetch_from

    sys.argv = ["gra fetch", *words]
    return hydra_main(fetch_from, "fetch_app")


def rescore(words: Sequence[str]) -> int:
    """Score the recorded replies of an evaluation again, by the current scoring rules or by those of another
    evaluation."""
    from gra.eval.rescore import main

    return main(words)


def _stage(command: str, target: str, app: str, words: Sequence[str]) -> int:
    if asks_for_help(words):
        return show_help(command, words)
    from gra.chain.execution.app import stage_main

    sys.argv = [f"gra {command}", *words]
    return stage_main(target, app)


def asks_for_help(words: Sequence[str]) -> bool:
    """Return whether the command must show its own help page. This is so if its arguments `words` contain -h or --help.
    But if they also contain `--hydra-help` or name another config (`--config-name`, `--config-path`), Hydra answers
    instead."""
    other = ("--hydra-help", "--config-name", "-cn", "--config-path", "-cp")
    return any(word in ("-h", "--help") for word in words) and not any(word.split("=")[0] in other for word in words)


def show_help(command: str, words: Sequence[str]) -> int:
    """Print the help page of a command and return the exit code. The page shows the values of the command's config,
    with the overrides in the arguments `words` applied."""
    from gra.config_reference.command_help import page
    from gra.pipes import outlive_reader

    outlive_reader()
    print(page(command, [word for word in words if word not in ("-h", "--help")]), end="")
    return 0


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {  # each takes the command's words and returns the exit code
    "synthesize": synthesize,
    "merge": merge,
    "refine": refine,
    "prepare": prepare,
    "train": train,
    "eval": evaluate,
    "rescore": rescore,
}
