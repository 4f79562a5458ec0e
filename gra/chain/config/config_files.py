"""Finds the YAML file that set each key of a composed config, because Hydra does not record it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gra.chain.execution.check import Sources
from gra.paths import conf_dir


def files_behind(
    config_name: str, choices: Mapping[str, str], overrides: tuple[str, ...], folders: Sequence[Path]
) -> Sources:
    """Return an object that tells users where a key of a composed config was set: the YAML file or the command line.

    `config_name`: the name of the root config's file.
    `choices`: config group -> chosen option.
    `overrides`: the changes (key=value) that the user gave on the command line.
    `folders`: the folders in which Hydra looks for files. If two folders have the same file, the first folder counts.
    """
    own = _find(folders, config_name)
    files = {}
    for group, choice in choices.items():
        path = _find(folders, f"{group.split('@')[0]}/{choice}")
        if path is not None and not path.is_relative_to(conf_dir()):
            files[group] = _shown(path)
    return Sources(
        choices=choices,
        overrides=overrides,
        root=_shown(own) if own else f"conf/{config_name}.yaml",
        root_keys=frozenset(_keys_set(own)) if own else frozenset(),
        experiment_keys=_experiment_keys(folders, f"experiment/{choices['experiment']}")
        if "experiment" in choices
        else {},
        files=files,
    )


def _find(folders: Sequence[Path], name: str) -> Path | None:
    """Return the first file `name`.yaml found in the folders, or None."""
    return next((path for folder in folders if (path := folder / f"{name}.yaml").is_file()), None)


def _shown(path: Path) -> str:
    """Return a path for messages: conf/... for the project's files; for a user's file, relative to the current folder if
    possible."""
    if path.is_relative_to(conf_dir()):
        return f"conf/{path.relative_to(conf_dir()).as_posix()}"
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _experiment_keys(folders: Sequence[Path], name: str, depth: int = 0) -> dict[str, str]:
    """Return the file of each dotted key, for every key that the experiment `name` or an experiment in its defaults sets."""
    from omegaconf import OmegaConf

    path = _find(folders, name)
    if path is None or depth > 10:
        return {}
    raw = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    found: dict[str, str] = {}
    for entry in (raw.get("defaults") or []) if isinstance(raw, dict) else []:
        if isinstance(entry, str) and entry != "_self_":
            parent = entry.lstrip("/") if entry.startswith("/") else f"{name.rpartition('/')[0]}/{entry}"
            found |= _experiment_keys(folders, parent.split("@")[0], depth + 1)
    return found | dict.fromkeys(_keys_set(path), _shown(path))


def _keys_set(path: Path) -> list[str]:
    """Return the dotted keys that a YAML file sets. A list counts as one value."""
    from omegaconf import OmegaConf

    def walk(value: Any, key: str) -> Iterator[str]:
        if isinstance(value, dict) and value:
            for name, inner in value.items():
                yield from walk(inner, f"{key}.{name}" if key else str(name))
        elif key:
            yield key

    raw = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    return [key for key in walk(raw, "") if key.split(".")[0] not in ("defaults", "hydra")]
