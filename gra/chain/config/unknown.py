"""Finds keys that nothing reads. Without this check, a typo in an experiment's file would go unnoticed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gra import spelling
from gra.chain.config.origin import referenced
from gra.chain.store.fingerprint import RUNTIME
from gra.errors import Problem
from gra.paths import conf_dir

APPS = ("synthesis_app", "probe_app", "refine_app", "train_app", "eval_app")


def unknown_keys(root: Mapping[str, Any], groups: Iterable[str], config_name: str) -> list[Problem]:
    """Return a fault for each key of the root config and of its `runtime` mappings that nothing reads.

    A key counts as read if one of the project's files lists it, or if a `${...}` in `root` refers to it.

    `root`: the composed config, before its `${...}` are resolved.
    `groups`: the dotted keys that hold the config groups.
    `config_name`: the name of the root config's file.
    """
    named = referenced(root)
    base = {str(key) for key in listed(config_name)} | _of_steps()
    known = base | {group.split(".")[0] for group in groups} | {key.split(".")[0] for key in named}
    problems = [
        _problem(key, key, sorted(known), f"nothing refers to it with ${{{key}}}") for key in root if key not in known
    ]
    speeds = {str(key) for name in (config_name, *APPS) for key in listed(name).get(RUNTIME) or ()}
    speeds |= {key.split(".")[1] for key in named if key.startswith(f"{RUNTIME}.")}
    for where, mapping in _runtimes(root):
        problems += [
            _problem(f"{where}.{key}", str(key), sorted(speeds), f"known keys here: {', '.join(sorted(speeds))}")
            for key in mapping
            if key not in speeds
        ]
    return problems


def _of_steps() -> set[str]:
    """Return the keys that the project's step files define for arms. An experiment need not use all of them."""
    return {str(key) for path in (conf_dir() / "steps").glob("*.yaml") for key in listed(f"steps/{path.stem}")}


def _runtimes(root: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the `runtime` mappings of the root and of the arms' overrides, each with its dotted key."""
    experiment = root.get("experiment")
    arms = experiment.get("arms") if isinstance(experiment, Mapping) else None
    found = [(RUNTIME, root.get(RUNTIME))]
    for name, arm in arms.items() if isinstance(arms, Mapping) else ():
        override = arm.get("override") if isinstance(arm, Mapping) else None
        if isinstance(override, Mapping):
            found.append((f"experiment.arms.{name}.override.{RUNTIME}", override.get(RUNTIME)))
    return [(where, mapping) for where, mapping in found if isinstance(mapping, Mapping)]


def _problem(key: str, last: str, known: list[str], otherwise: str) -> Problem:
    return Problem(key, "unknown key", spelling.remedy(last, known, f"{otherwise}: correct or remove it"))


def listed(config_name: str) -> Mapping[str, Any]:
    """Return the content of the config file `config_name` (such as `chain` or `pool/paper`) and of the files that it
    inherits.

    The inherited files are those that `defaults` names without a group. As in Hydra, such a name means a file in the
    same folder or, with a leading slash, a file below conf/. If conf/ has no such config, return {}.
    """
    from omegaconf import OmegaConf

    path = conf_dir() / f"{config_name}.yaml"
    found = OmegaConf.to_container(OmegaConf.load(path), resolve=False) if path.is_file() else {}
    if not isinstance(found, dict):
        return {}
    inherited: dict[str, Any] = {}
    for entry in found.get("defaults") or []:
        if isinstance(entry, str) and entry != "_self_":
            folder = "" if entry.startswith("/") else config_name.rpartition("/")[0]
            inherited |= listed(f"{folder}/{entry.strip('/')}".strip("/"))
    own = {str(key): value for key, value in found.items()}
    return inherited | own | {"defaults": [*inherited.get("defaults", ()), *own.get("defaults", ())]}
