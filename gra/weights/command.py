"""Fetches the weights of a pool's models into the cache (GRA_CACHE, ~/.cache/gra).

gra fetch models small             # the models of pool=small
gra fetch students smollm2-135m    # also converts the weights to a Transformers folder, for student=smollm2-135m and evaluation
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gra import spelling
from gra.errors import ConfigError, Problem
from gra.paths import conf_dir
from gra.settings import parse
from gra.weights.fetch import FetchError, fetch
from gra.weights.spec import Weights
from gra.weights.student import make


def main(arguments: Sequence[str]) -> int:
    """Fetch the weights of the named models and return the exit code. Without names, print the names of all models.

    If a name or a pool's file is invalid, ConfigError is raised before any download. If one of the models could not be
    fetched, FetchError is raised after all models were tried.
    """
    parser = argparse.ArgumentParser(
        prog="gra fetch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what", choices=["models", "students"], help="what to fetch; for benchmarks: gra fetch suite=NAME output=DIR"
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="name of a model, or of a pool (e.g. small) for all its models"
    )
    parser.add_argument("--config-dir", metavar="DIR", help="your own config folder, with pool/*.yaml")
    given = parser.parse_intermixed_args(list(arguments))
    pools = catalogue(*([Path(given.config_dir)] if given.config_dir else []))
    if not given.names:
        print("\n".join(f"{pool}: {', '.join(models)}" for pool, models in pools.items()))
        return 0
    wanted = _chosen(given.names, pools)
    faults = []
    for name, weights in wanted.items():
        try:
            fetch(name, weights, lambda text: print(text, flush=True))
            if given.what == "students":
                make(name, weights, lambda text: print(text, flush=True))
        except FetchError as error:
            faults.append(str(error))
    if faults:
        raise FetchError("\n".join(faults))
    return 0


def catalogue(*folders: Path) -> dict[str, dict[str, Weights]]:
    """Return the weights of all models as {pool: {model: weights}}. They are read from the files pool/*.yaml in each of
    `folders` and in the project's conf folder. Raises ConfigError for an invalid file."""
    from omegaconf import OmegaConf
    from yaml import YAMLError

    found: dict[str, dict[str, Weights]] = {}
    problems: list[Problem] = []
    for path in [path for folder in (*folders, conf_dir()) for path in sorted((folder / "pool").glob("*.yaml"))]:
        try:
            raw: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        except (YAMLError, OSError) as error:
            problems.append(Problem("pool", str(error).splitlines()[0], "correct the file", file=str(path)))
            continue
        models = raw.get("models") if isinstance(raw, dict) else None
        for index, model in enumerate(models if isinstance(models, list) else []):
            if isinstance(model, dict) and model.get("weights") is not None:
                weights, faults = parse(Weights, model["weights"], f"pool.models.{index}.weights")
                problems += [Problem(fault.key, fault.message, fault.remedy, file=str(path)) for fault in faults]
                if weights is not None:
                    found.setdefault(path.stem, {}).setdefault(str(model.get("name")), weights)
    if problems:
        raise ConfigError(problems)
    return found


def command_for(names: Sequence[str]) -> str:
    """Return the command that fetches the weights of these models."""
    return f"gra fetch models {' '.join(names)}"


def _chosen(names: Sequence[str], pools: dict[str, dict[str, Weights]]) -> dict[str, Weights]:
    models: dict[str, Weights] = {}
    for pool in reversed(pools.values()):
        models |= pool
    wanted: dict[str, Weights] = {}
    problems = []
    for name in names:
        if name in models:
            wanted[name] = models[name]
        elif name in pools:
            wanted |= pools[name]
        else:
            otherwise = f"give a model: {', '.join(models)}; or a pool, to fetch all its models: {', '.join(pools)}"
            remedy = spelling.remedy(name, [*models, *pools], otherwise)
            problems.append(
                Problem(
                    name,
                    "no pool file (conf/pool/*.yaml) lists a model of this name, and only listed models can be fetched",
                    remedy,
                )
            )
    if problems:
        raise ConfigError(problems)
    return wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
