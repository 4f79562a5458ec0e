"""The command `gra fetch models NAME...`: weights of the models that pools name, into the cache (GRA_CACHE, ~/.cache/gra).

gra fetch models small             # what pool=small serves
gra fetch students smollm2-135m    # the same weights as a Transformers folder too, for student=smollm2-135m and evaluation
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gra.errors import ConfigError, Problem
from gra.paths import conf_dir
from gra.settings import parse
from gra.weights.fetch import FetchError, fetch
from gra.weights.spec import Weights
from gra.weights.student import make


def main(arguments: Sequence[str]) -> int:
    """Fetch what the words name; returns the exit code. Raises ConfigError before anything is fetched, FetchError at the end."""
    parser = argparse.ArgumentParser(prog="gra fetch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["models", "students"], help="what to fetch (benchmarks: python -m eval.fetch)")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a model's name in a pool, or a pool (`small`: all of its models)")
    parser.add_argument("--config-dir", metavar="DIR", help="a folder of your own, with pool/*.yaml")
    given = parser.parse_args(list(arguments))
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
    """pool -> model -> weights, of the pools in `folders`/pool and the project's own. Raises ConfigError where one is wrong."""
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
    """What fetches the weights of these models, as one would type it."""
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
            near = difflib.get_close_matches(name, [*models, *pools], n=1)
            remedy = f"did you mean `{near[0]}`?" if near else f"models: {', '.join(models)}; pools: {', '.join(pools)}"
            problems.append(Problem(name, "no pool names weights for a model of that name", remedy))
    if problems:
        raise ConfigError(problems)
    return wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
