"""Finds keys whose value has the wrong type, such as a text where a mapping is expected. PURE except that it reads
conf/."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gra.errors import Problem
from gra.paths import conf_dir

_MAPPING = "a mapping of keys is expected here (got {!r:.80})"
PATHS = ("store", "results", "output")


def wrong_kinds(root: Mapping[str, Any], choices: Mapping[str, str | None], listed: Mapping[str, Any]) -> list[Problem]:
    """Return a fault for each key of `root` whose value should be a mapping but is not, and for each key whose value
    should be a path but is not a string.

    `root`: the composed config, before its `${...}` are resolved.
    `choices`: config group (or group@package) -> chosen option.
    `listed`: the content of the root config's file. It shows which keys should be mappings.
    """
    found = []
    for name, choice in choices.items():
        group, _, package = name.partition("@")
        if group == "experiment" or group.startswith("hydra") or package.startswith("_"):
            continue
        key = (package or group).replace("/", ".")
        there, value = _at(root, key)
        if (
            there
            and not isinstance(value, Mapping)
            and not _refers(value)
            and (choice is not None or value is not None)
        ):
            found.append(Problem(key, _MAPPING.format(value), _choose(name, key, value)))
    reported = {problem.key for problem in found}
    for key in _mappings(listed):
        there, value = _at(root, key)
        if there and key not in reported and not isinstance(value, Mapping) and not _refers(value):
            keys = ", ".join(map(str, _at(listed, key)[1])) or f"{key}.NAME=VALUE"
            found.append(Problem(key, _MAPPING.format(value), f"set its keys one by one: {keys}"))
    for key in PATHS:
        there, value = _at(root, key)
        if there and value is not None and not isinstance(value, str):
            found.append(
                Problem(key, f"a folder name is expected here (got {value!r:.80})", f"give one folder: {key}=DIR")
            )
    return found


def group_options(group: str) -> list[str]:
    """Return the names of the options in one of the project's config groups."""
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


def all_options(group: str, folders: Iterable[Path] = ()) -> list[str]:
    """Return the names of a config group's options, from conf/ and from the user's `folders`.

    If an option lies in a subfolder of the group, its name is SUBFOLDER/OPTION.
    """
    places = [folder / group for folder in (conf_dir(), *folders)]
    return sorted({path.relative_to(at).with_suffix("").as_posix() for at in places for path in at.rglob("*.yaml")})


def _choose(name: str, key: str, value: Any) -> str:
    options = group_options(name.partition("@")[0])
    if isinstance(value, str) and value in options:
        return f"did you mean {name}={value}? Options: {', '.join(options)}; to set a single key: {key}.KEY=VALUE"
    return f"choose an option: {name}={'|'.join(options) or 'NAME'}, or set a single key: {key}.KEY=VALUE"


def _mappings(listed: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Yield the dotted keys that are mappings in the root config's file. `hydra` is skipped, because users may set any key
    there."""
    for key, value in listed.items():
        if isinstance(value, Mapping) and (above or key not in ("hydra", "defaults")):
            yield f"{above}{key}"
            yield from _mappings(value, f"{above}{key}.")


def _refers(value: Any) -> bool:
    return isinstance(value, str) and "${" in value  # an interpolation is checked after it is resolved


def _at(root: Mapping[str, Any], key: str) -> tuple[bool, Any]:
    node: Any = root
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return False, None
        node = node[part]
    return True, node
