"""Keys that nothing reads: a slip in an experiment's file would otherwise go by without a word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from gra.chain.fingerprint import RUNTIME
from gra.chain.origin import referenced
from gra.errors import Problem
from gra.paths import conf_dir

APPS = ("synthesis_app", "probe_app", "train_app", "eval_app")


def unknown_keys(root: Mapping[str, Any], groups: Iterable[str], config_name: str) -> list[Problem]:
    """The keys at the root, and those of `runtime`, that no file of the project's lists and no `${...}` in `root` names.

    `root`: the composed config, not resolved; `groups`: the packages that config groups were put under.
    """
    named = referenced(root)
    base = {str(key) for key in listed(config_name)}
    known = base | {group.split(".")[0] for group in groups} | {key.split(".")[0] for key in named}
    problems = [_problem(key, key, sorted(known), f"nothing refers to it with ${{{key}}}") for key in root if key not in known]
    speeds = {str(key) for name in (config_name, *APPS) for key in listed(name).get(RUNTIME) or ()}
    speeds |= {key.split(".")[1] for key in named if key.startswith(f"{RUNTIME}.")}
    for where, mapping in _runtimes(root):
        problems += [
            _problem(f"{where}.{key}", str(key), sorted(speeds), f"known keys here: {', '.join(sorted(speeds))}")
            for key in mapping
            if key not in speeds
        ]
    return problems


def _runtimes(root: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The root's `runtime`, and those of the arms' overrides."""
    experiment = root.get("experiment")
    arms = experiment.get("arms") if isinstance(experiment, Mapping) else None
    found = [(RUNTIME, root.get(RUNTIME))]
    for name, arm in (arms.items() if isinstance(arms, Mapping) else ()):
        override = arm.get("override") if isinstance(arm, Mapping) else None
        if isinstance(override, Mapping):
            found.append((f"experiment.arms.{name}.override.{RUNTIME}", override.get(RUNTIME)))
    return [(where, mapping) for where, mapping in found if isinstance(mapping, Mapping)]


def _problem(key: str, last: str, known: list[str], otherwise: str) -> Problem:
    near = difflib.get_close_matches(last, known, n=1)
    return Problem(key, "unknown key", f"did you mean `{near[0]}`?" if near else f"{otherwise}: correct it, or remove it")


def listed(config_name: str) -> Mapping[str, Any]:
    """A root config of the project's as it stands in its file and in those that it builds on; {} for a user's own elsewhere."""
    from omegaconf import OmegaConf

    path = conf_dir() / f"{config_name}.yaml"
    found = OmegaConf.to_container(OmegaConf.load(path), resolve=False) if path.is_file() else {}
    if not isinstance(found, dict):
        return {}
    inherited: dict[str, Any] = {}
    for entry in found.get("defaults") or []:
        if isinstance(entry, str) and entry != "_self_":
            inherited |= listed(entry.strip("/"))
    own = {str(key): value for key, value in found.items()}
    return inherited | own | {"defaults": [*inherited.get("defaults", ()), *own.get("defaults", ())]}
