"""PURE: traces a key of a stage's config through `${...}` to the key of the root config that sets it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from gra.errors import Problem
from gra.settings import value_at

_WHOLE = re.compile(r"^\$\{\s*([A-Za-z_][\w.-]*)\s*\}$")  # a value that consists of one absolute interpolation
_ANY = re.compile(r"\$\{([^${}]*)")
_DEPTH = 20


def origin(root: Mapping[str, Any], key: str) -> str | None:
    """Return the dotted key of `root` at which the value of `key` is set: `key` itself or, if its value is `${OTHER}`,
    the key at which the value of OTHER is set.

    If `key` does not exist in the mapping that should hold it, return the key under which it would have to be added. If
    `root` does not even have the first part of `key`, return None.
    `root`: the root config, before its `${...}` are resolved.
    """
    for _ in range(_DEPTH):  # also ends a cycle of interpolations
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
    """Return a copy of `problem` in which the key of a stage's config is replaced by the key of the root config that
    the user has to set.

    If no such key of the root config is found, return `problem` itself.
    `problem`: a fault of the config, which names a key of a stage's config.
    `root`: the root config, before its `${...}` are resolved.
    `bases`: the keys of `root` at which the stage's config may be defined.
    """
    first = problem.key.split(".")[0]
    for base in bases:
        section = origin(root, base)
        if section is None or first not in _at(root, section):
            continue
        key = origin(root, f"{section}.{problem.key}")
        if key is not None and key != problem.key:
            # in the remedy, a bare word such as `seed` is the key only in the form seed=1
            ending = r"(?![\w.]*\w)" if "." in problem.key else "(?==)"
            mention = rf"(?<![\w.]){re.escape(problem.key)}{ending}"
            return replace(problem, key=key, remedy=key.join(re.split(mention, problem.remedy)))
        return problem
    return problem


def referenced(value: Any) -> set[str]:
    """Return every dotted key to which `value` refers with `${...}`.

    A resolver such as `${now:ARGUMENTS}` may get keys as its arguments. So each word of the arguments is returned, too.
    """
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
    node = value_at(root, key)
    return node if isinstance(node, Mapping) else {}
