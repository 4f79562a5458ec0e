"""PURE: where in a root config a stage's key stands, through the `${...}` that the stage's config is put together with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from gra.errors import Problem

_WHOLE = re.compile(r"^\$\{\s*([A-Za-z_][\w.-]*)\s*\}$")  # a value that is one absolute interpolation and nothing else
_ANY = re.compile(r"\$\{([^${}]*)")
_DEPTH = 20


def origin(root: Mapping[str, Any], key: str) -> str | None:
    """The dotted key in `root` (not resolved) that sets `key`; None if there is nothing at the key's first part below `root`.

    Of a key that stands nowhere (one that is missing, say) it is the mapping that would hold it which is followed.
    """
    for _ in range(_DEPTH):  # a circle of interpolations ends here, too
        node: Any = root
        parts = key.split(".")
        for done, part in enumerate(parts):
            if not isinstance(node, Mapping) or part not in node:
                return key if done else None
            node = node[part]
            if isinstance(node, str) and (found := _WHOLE.match(node)):
                key = ".".join([found.group(1), *parts[done + 1 :]])
                break
        else:
            return key
    return key


def from_root(problem: Problem, root: Mapping[str, Any], bases: Iterable[str]) -> Problem:
    """`problem`, found in a stage's config, with its key as the user set it. `bases`: where that config may stand in `root`."""
    first = problem.key.split(".")[0]
    for base in bases:
        section = origin(root, base)
        if section is None or first not in _at(root, section):
            continue
        key = origin(root, f"{section}.{problem.key}")
        if key is not None and key != problem.key:
            ending = r"(?![\w.]*\w)" if "." in problem.key else "(?==)"  # a word such as `seed` may be no key but in seed=1
            told = rf"(?<![\w.]){re.escape(problem.key)}{ending}"
            return replace(problem, key=key, remedy=key.join(re.split(told, problem.remedy)))
        return problem
    return problem


def referenced(value: Any) -> set[str]:
    """Every dotted key that some `${...}` in `value` names; of a resolver's arguments, each word."""
    if isinstance(value, Mapping):
        return set().union(*(referenced(inner) for inner in value.values())) if value else set()
    if isinstance(value, list):
        return set().union(*(referenced(inner) for inner in value)) if value else set()
    if not isinstance(value, str):
        return set()
    found: set[str] = set()
    for inner in _ANY.findall(value):
        name, colon, arguments = inner.partition(":")
        found |= set(re.findall(r"[\w.-]+", arguments)) if colon else {name.strip().lstrip(".").split("[")[0]}
    return found


def _at(root: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    node: Any = root
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node if isinstance(node, Mapping) else {}
