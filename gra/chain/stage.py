"""A stage as the chain sees it: what stands beside `run` in the module that a step's `_target_` names."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gra.errors import ConfigError, Problem

Config = dict[str, Any]
Inputs = dict[str, Path | None]  # None: an earlier step has yet to make it


@dataclass(frozen=True)
class Stage:
    """`run` and what describes it. `name` and `version` are part of every fingerprint, `not_hashed` keys are not.

    check         sees the config alone, is cheap and needs no network: a login node can run it
    preflight     looks at servers, the hub and this machine, before anything is created or paid; beside `check`: where the config
                  has faults, it looks at the rest
    kept          says in words what a folder of the stage holds that was paid for or took long; empty: nothing. None: the stage
                  does not say, so whatever its folder holds counts
    reuse         gives the config with folders of earlier runs whose replies may be used again
    bought_again  says, for keys of the identity that changed, what of the replies is not used again
    outlook       says what `gra plan` is to tell of a step that is not done, one fact a line, given its own working folder, if it
                  was begun, and the folders of earlier runs
    """

    target: str
    name: str
    version: int
    not_hashed: tuple[str, ...]
    run: Callable[[Config, dict[str, Path], Path], dict[str, float]]
    check: Callable[[Config, Inputs], list[Problem]]
    external_files: Callable[[Config], dict[str, Path]]
    outlook: Callable[[Config, Inputs, Path | None, Sequence[Path]], list[str]] = lambda *_: []
    preflight: Callable[[Config, Inputs], list[Problem]] = lambda _config, _inputs: []
    kept: Callable[[Path], str] | None = None
    reuse: Callable[[Config, Sequence[Path]], Config] | None = None
    bought_again: Callable[[Sequence[str]], list[str]] = lambda _changed: []
    follower: Callable[[Config], bool] = lambda _config: False  # this process helps one on another node, which owns the folder
    inside_inputs: Mapping[str, str] = field(default_factory=dict)  # config key -> input in which its relative path lies


_HOOKS = ("follower", "outlook", "preflight", "kept", "reuse", "bought_again")  # a stage's module may define them


def load_stage(target: str, key: str = "_target_") -> Stage:
    """The stage whose `run` the dotted path `target` names. Raises ConfigError (under `key`) if it is not a stage."""
    module_name, _, function = target.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        remedy = "give the dotted path of a stage's function, e.g. train.stage.run; its package must be installed"
        raise ConfigError([Problem(key, f"`{target}` cannot be imported: {error}", remedy)]) from error
    missing = [name for name in (function, "NAME", "VERSION", "check") if not hasattr(module, name)]
    if missing:
        remedy = "a stage's module defines NAME, VERSION, check(config, inputs) and run(config, inputs, output)"
        raise ConfigError([Problem(key, f"`{module_name}` is no stage: it has no {', '.join(missing)}", remedy)])
    if not re.fullmatch(r"[a-z][a-z0-9_]*", module.NAME):
        remedy = "use lower-case letters, digits and underscores: it begins the names of the folders in the store"
        raise ConfigError([Problem(key, f"`{module_name}.NAME` is {module.NAME!r}", remedy)])
    return Stage(
        target=target,
        name=module.NAME,
        version=module.VERSION,
        not_hashed=tuple(getattr(module, "NOT_HASHED", ())),
        run=getattr(module, function),
        check=module.check,
        external_files=getattr(module, "external_files", lambda _config: {}),
        inside_inputs=getattr(module, "INSIDE_INPUTS", {}),
        **{hook: getattr(module, hook) for hook in _HOOKS if hasattr(module, hook)},
    )
