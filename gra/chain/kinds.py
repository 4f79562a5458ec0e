"""PURE but for the project's own YAML: keys whose value is of the wrong kind, such as a text where a whole config group belongs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gra.errors import Problem
from gra.paths import conf_dir

_MAPPING = "a mapping of keys is expected here (got {!r:.80})"
PATHS = ("store", "results", "output")


def wrong_kinds(root: Mapping[str, Any], choices: Mapping[str, str | None], listed: Mapping[str, Any]) -> list[Problem]:
    """Mappings of `root` (composed, not resolved) that are something else, and paths that are no text.

    `choices`: the chosen option of each config group (group or group@package); `listed`: the root config as in its own file.
    """
    found = []
    for name, choice in choices.items():
        group, _, package = name.partition("@")
        if group == "experiment" or group.startswith("hydra") or package.startswith("_"):
            continue
        key = (package or group).replace("/", ".")
        there, value = _at(root, key)
        if there and not isinstance(value, Mapping) and not _refers(value) and (choice is not None or value is not None):
            found.append(Problem(key, _MAPPING.format(value), _choose(name, key, value)))
    told = {problem.key for problem in found}
    for key in _mappings(listed):
        there, value = _at(root, key)
        if there and key not in told and not isinstance(value, Mapping) and not _refers(value):
            keys = ", ".join(map(str, _at(listed, key)[1])) or f"{key}.NAME=VALUE"
            found.append(Problem(key, _MAPPING.format(value), f"set its keys one by one: {keys}"))
    for key in PATHS:
        there, value = _at(root, key)
        if there and value is not None and not isinstance(value, str):
            found.append(Problem(key, f"the name of a folder is expected here (got {value!r:.80})", f"give one folder: {key}=DIR"))
    return found


def group_options(group: str) -> list[str]:
    """The options of a config group of the project's."""
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


def _choose(name: str, key: str, value: Any) -> str:
    options = group_options(name.partition("@")[0])
    if isinstance(value, str) and value in options:
        return f"did you mean {name}={value}? It takes one of: {', '.join(options)}; single keys are set by {key}.KEY=VALUE"
    return f"choose one of its files: {name}={'|'.join(options) or 'NAME'}, or set single keys: {key}.KEY=VALUE"


def _mappings(listed: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The dotted keys under which the root config's own file has a mapping; of the user's keys below `hydra` nothing is known."""
    for key, value in listed.items():
        if isinstance(value, Mapping) and (above or key not in ("hydra", "defaults")):
            yield f"{above}{key}"
            yield from _mappings(value, f"{above}{key}.")


def _refers(value: Any) -> bool:
    return isinstance(value, str) and "${" in value  # to be looked at where it is resolved


def _at(root: Mapping[str, Any], key: str) -> tuple[bool, Any]:
    node: Any = root
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return False, None
        node = node[part]
    return True, node
