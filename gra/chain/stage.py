"""Loads a stage, which is a module with a function `run`, further functions and constants. A step names it in
`_target_`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gra.errors import ConfigError, Problem
from gra.outlook import Cost, Outlook, Upstream
from gra.parts import Wave
from gra.server_jobs import Served
from gra.settings import value_at
from gra.targets import module_of, today

Config = dict[str, Any]
Inputs = dict[str, Path | None]  # None: the earlier step that makes the folder is not finished


@dataclass(frozen=True)
class Stage:
    """The functions and constants of a stage's module. `target` is the dotted path of its function `run`.

    name, version    parts of every fingerprint of the stage
    not_hashed       dotted keys of the config that are not part of the fingerprint
    added_later      config keys that later versions added, each with the value that means the same as before. A key
                     with this value is not part of the fingerprint, so older finished steps stay valid
    check            checks the config, fast and without network. gra/machine.py tells it on which machine the step will
                     run, so a login node can check a job's config. The job checks it again before it loads anything
    preflight        checks servers, the hub and this machine before anything is created or paid for. It runs even if
                     `check` found faults, and leaves out only what these faults affect
    external_files   returns the files that the config names: dotted key -> path. Their content is part of the
                     fingerprint
    inside_inputs    config key -> input. A relative path at this key is a path in the folder of the input
    follower         returns whether this process only helps a process on another node, which runs the step
    kept             gets a folder. Returns a short description of the costly work in it (paid calls, long computations),
                     or "". If the stage has no such function (None), every file counts as worth keeping
    reuse            gets the config and the folders of earlier runs whose replies may be reused. Returns the config
                     with these folders added
    bought_again     gets the keys whose values differ from an earlier run's. Returns lines that say which replies of
                     the earlier run are therefore not reused
    outlook          returns the facts about an unfinished step and its cost, for `gra plan` (gra/outlook.py). Gets the
                     step's working folder (None: not started), the folders of earlier runs, and the outlooks (the same
                     facts) of the unfinished steps that make its inputs
    divide           gets the config, the output and the number of shards. Returns the tasks into which a run is
                     divided, so that several jobs share it (gra/parts.py). Also returns the run's config, changed so
                     that the run reads the tasks' results instead of computing them. If a stage has no such function
                     (None), its runs cannot be divided
    whole            gets the config and output of one task that `divide` made. If the whole run is already finished,
                     the task is unnecessary, and `whole` returns the run's folder. Otherwise, it returns None
    served           returns the models that a run calls and whose servers can run in separate Slurm jobs
                     (gra/server_jobs.py), or None
    benchmark_items  returns the benchmarks that a run writes, with their numbers of items (for `gra plan --power`)
    of_a_part        dotted keys of the config whose values differ between one task of `divide` and the whole run
    """

    target: str
    name: str
    version: int
    run: Callable[[Config, dict[str, Path], Path], dict[str, float]]
    check: Callable[[Config, Inputs], list[Problem]]
    not_hashed: tuple[str, ...] = ()
    added_later: Mapping[str, Any] = field(default_factory=dict)
    external_files: Callable[[Config], dict[str, Path]] = lambda _config: {}
    outlook: Callable[[Config, Inputs, Path | None, Sequence[Path], Upstream], Outlook] = lambda *_: Outlook(
        cost=Cost()
    )
    preflight: Callable[[Config, Inputs], list[Problem]] = lambda _config, _inputs: []
    divide: Callable[[Config, Path, int], tuple[list[Wave], Config]] | None = None
    whole: Callable[[Config, Path], Path | None] = lambda _config, _output: None
    served: Callable[[Config], Served | None] = lambda _config: None
    benchmark_items: Callable[[Config], dict[str, int]] = lambda _config: {}
    of_a_part: tuple[str, ...] = ()
    kept: Callable[[Path], str] | None = None
    reuse: Callable[[Config, Sequence[Path]], Config] | None = None
    bought_again: Callable[[Sequence[str]], list[str]] = lambda _changed: []
    follower: Callable[[Config], bool] = lambda _config: False
    inside_inputs: Mapping[str, str] = field(default_factory=dict)


def left_out(stage: Stage, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the dotted keys of `config` that are not part of the step's fingerprint.

    They are the keys in the stage's `not_hashed`, and each key in its `added_later` that has the same value there as in
    `config`.
    """
    return (*stage.not_hashed, *(key for key, before in stage.added_later.items() if value_at(config, key) == before))


# Field of Stage -> name in the stage's module; all but the first three are optional. A stage is a plain module because an object
# that lists its functions would repeat each name, and stages would have to import the chain.
_NAMES = {
    "name": "NAME",
    "version": "VERSION",
    "check": "check",
    "not_hashed": "NOT_HASHED",
    "added_later": "ADDED_LATER",
    "inside_inputs": "INSIDE_INPUTS",
    "of_a_part": "OF_A_PART",
    **{name: name for name in ("external_files", "follower", "outlook", "preflight", "kept", "reuse", "bought_again")},
    **{name: name for name in ("divide", "whole", "served", "benchmark_items")},
}
_REQUIRED = ("NAME", "VERSION", "check")


def load_stage(target: str, key: str = "_target_") -> Stage:
    """Return the stage whose function `run` has the dotted path `target`.

    If there is no such stage, raises ConfigError. `key`: the config key that holds `target`, for the message.
    """
    module_name = today(target).rpartition(".")[0]
    try:
        module, function = module_of(target)
    except (ImportError, ValueError) as error:
        remedy = "give the dotted path of a stage's function, e.g. gra.train.stage.run; its package must be installed"
        raise ConfigError([Problem(key, f"`{target}` cannot be imported: {error}", remedy)]) from error
    defined = vars(module)
    missing = [name for name in (function, *_REQUIRED) if name not in defined]
    if missing:
        remedy = "a stage's module defines NAME, VERSION, check(config, inputs) and run(config, inputs, output)"
        raise ConfigError([Problem(key, f"`{module_name}` is not a stage: it lacks {', '.join(missing)}", remedy)])
    if not re.fullmatch(r"[a-z][a-z0-9_]*", module.NAME):
        remedy = "use lower-case letters, digits and underscores: folder names in the store start with it"
        raise ConfigError([Problem(key, f"`{module_name}.NAME` is {module.NAME!r}", remedy)])
    return Stage(
        target=target,
        run=defined[function],
        **{attribute: defined[name] for attribute, name in _NAMES.items() if name in defined},
    )
