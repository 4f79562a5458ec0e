"""Composes the config of a command from Python values instead of command-line arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gra import spelling
from gra.chain.config.kinds import group_options
from gra.chain.config.overrides import dotted_keys
from gra.chain.execution.check import PYTHON as WHERE
from gra.chain.execution.check import Sources
from gra.errors import ConfigError, Problem
from gra.paths import conf_dir, expanded


@dataclass(frozen=True)
class Composed:
    """The config of a stage, the folders of its inputs, and its output folder. The other attributes are for error
    messages.

    `problems`: the faults found so far.
    `sources`: the files and values that set the keys of the config.
    `unresolved`: the whole config of the command, before its `${...}` are resolved.
    """

    config: dict[str, Any]
    inputs: dict[str, Path]
    output: Path
    problems: list[Problem]
    unresolved: dict[str, Any]
    sources: Sources


def composed(app: str, output: str | Path, values: Mapping[str, Any]) -> Composed:
    """Return the config of the file conf/`app`.yaml, changed by `values`.

    An example of `values` is {"synthesis.tau": 7, "pool": "simulated"}. If a key is the name of a config group and its
    value is a text, the text chooses a file of the group. Any other value, even None, becomes the value of its key.

    If chosen files do not exist, ConfigError is raised, which names all of them. If a key does not exist, no error is
    raised. This fault is added to the result's `problems`, so that the user sees it together with the faults that the
    stage finds.
    """
    from hydra import compose
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    groups = {key: value for key, value in values.items() if isinstance(value, str) and _is_group(key)}
    problems = [problem for key, value in groups.items() if (problem := _missing(key, value)) is not None]
    if problems:
        raise ConfigError(problems)
    with _hydra():
        words = [f"{key}={value}" for key, value in groups.items()]
        try:
            root = compose(app, overrides=words, return_hydra_config=True)
        except HydraException as error:
            raise ConfigError(
                [Problem("(config)", " ".join(str(error).split())[:300], "see docs/python.md", WHERE)]
            ) from error
    choices = {
        str(key): str(value) for key, value in root.hydra.runtime.choices.items() if value and "hydra/" not in str(key)
    }
    OmegaConf.set_struct(root, True)
    known = _keys(root)
    for key, value in {**{k: v for k, v in values.items() if k not in groups}, "output": str(expanded(output))}.items():
        try:
            OmegaConf.update(root, key, _plain(value))
        except OmegaConfBaseException as error:
            problems.append(_unknown(key, str(error), known))
    return _read(root, app, choices, problems, ["output", *(key for key in values if key not in groups)])


def keys_of(app: str) -> list[str]:
    """Return the dotted keys of the config conf/`app`.yaml."""
    from hydra import compose

    with _hydra():
        return _keys(compose(app))


def _keys(root: Any) -> list[str]:
    from omegaconf import OmegaConf

    keys = OmegaConf.to_container(root, resolve=False)
    assert isinstance(keys, dict)
    return list(dotted_keys({str(key): value for key, value in keys.items() if key not in ("hydra", "config")}))


def _read(root: Any, app: str, choices: Mapping[str, str], found: list[Problem], given: list[str]) -> Composed:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from gra.chain.config.config_files import files_behind

    unresolved = OmegaConf.to_container(root, resolve=False)
    assert isinstance(unresolved, dict)
    unresolved.pop("hydra", None)
    del root.hydra
    try:
        plain = OmegaConf.to_container(root, resolve=True)
    except OmegaConfBaseException as error:
        fault = Problem("(config)", str(error).splitlines()[0], "correct the `${...}` named here", WHERE)
        raise ConfigError([*found, fault]) from error
    assert isinstance(plain, dict)
    problems = [
        *found,
        *(
            Problem(f"inputs.{name}", "required, but not set", "give the folder", WHERE)
            for name, value in (plain.get("inputs") or {}).items()
            if value == "???"
        ),
    ]
    inputs = {
        str(name): expanded(value) for name, value in (plain.get("inputs") or {}).items() if value not in (None, "???")
    }
    sources = replace(files_behind(app, choices, (), [conf_dir()]), python=frozenset(given))
    whole = {str(key): value for key, value in unresolved.items()}
    return Composed(plain["config"], inputs, expanded(plain["output"]), problems, whole, sources)


@contextmanager
def _hydra() -> Iterator[None]:
    """Set up Hydra for the project's files during the block, then restore the Hydra that the caller's program has set up, if
    any."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    state = GlobalHydra.instance()
    callers, state.hydra = state.hydra, None
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            yield
    finally:
        state.hydra = callers


def _is_group(key: str) -> bool:
    return "." not in key and (conf_dir() / key).is_dir()


def _missing(group: str, option: str) -> Problem | None:
    options = group_options(group)
    if option in options:
        return None
    near = spelling.near(option, options)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return Problem(group, f"there is no {option!r}", f"{hint}One of: {', '.join(options)}", WHERE)


def _unknown(key: str, message: str, known: list[str]) -> Problem:
    near = spelling.near(key, known, cutoff=0.8)
    parent = key.rpartition(".")[0]
    siblings = [k.rpartition(".")[2] for k in known if k.rpartition(".")[0] == parent]
    remedy = f"did you mean {near[0]!r}?" if near else f"known keys here: {', '.join(siblings[:30]) or 'none'}"
    return Problem(key, "unknown key" if "not in struct" in message else message.splitlines()[0], remedy, WHERE)


def _plain(value: Any) -> Any:
    """Convert paths to text and tuples to lists, inside mappings and lists too. Other values stay."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
