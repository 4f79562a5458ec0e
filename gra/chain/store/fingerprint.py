"""PURE: computes the fingerprint of a step, a sha256 over everything that decides its result and nothing else.

It covers the stage's name and version, the config, the fingerprints of the inputs, and the content of the files that
the config names. It does not cover the mappings called `runtime`, at any depth, and the keys in the stage's NOT_HASHED,
because they do not change the result. Equal configs must give equal bytes, so values that can be written in several
ways or not at all (NaN, objects, keys that are not text) are errors.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from gra.errors import ConfigError, Problem
from gra.targets import oldest

RUNTIME = "runtime"
TARGET = "_target_"
_ABSENT = object()
_NOT_SET = "not set"


def hashed_config(config: Mapping[str, Any], drop: Iterable[str] = ()) -> dict[str, Any]:
    """Return the part of `config` that is hashed: all but the `runtime` mappings and the keys in `drop`.

    `drop`: dotted keys, in which `*` stands for any one key or index. Raises ConfigError if there are values that
        cannot be hashed, such as NaN or an object. The error names each of them.
    """
    problems: list[Problem] = []
    stripped = _strip(config, (), [tuple(key.split(".")) for key in drop], problems)
    if problems:
        raise ConfigError(problems)
    return stripped


def identity(
    name: str,
    version: int,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    files: Mapping[str, str] | None = None,
    not_hashed: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the identity of a step, which is everything that decides its result. The function `fingerprint` hashes it.

    The identity is a mapping of JSON values.
    `inputs`: input name -> fingerprint of the input.
    `files`: dotted config key -> sha256 of the file that the key names. The hash replaces the path at the key, so the
        file may be moved without changing the identity.
    """
    files = dict(files or {})
    return {
        "stage": name,
        "version": version,
        "config": hashed_config(config, [*not_hashed, *files]),
        "inputs": dict(inputs),
        "files": files,
    }


def fingerprint(identity: Mapping[str, Any]) -> str:
    """Return the hex sha256 of the canonical JSON of `identity`: sorted keys, no spaces, ASCII."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def hash8(fingerprint: str) -> str:
    """Return the first 8 hex digits of a fingerprint. The names of folders in the store contain them."""
    return fingerprint[:8]


def differences(old: Mapping[str, Any], new: Mapping[str, Any], limit: int = 8) -> list[str]:
    """Return lines that say in which values two identities differ, one line per value.

    If there are more than `limit` such values, a last line says how many more.
    """
    changed = changes(old, new)
    lines = [f"{key}: {before} there, {after} here" for key, before, after in changed[:limit]]
    return lines + ([f"... and {len(changed) - limit} more"] if len(changed) > limit else [])


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the values in which two identities differ, each as three texts: key, old value and new value."""
    before, after = ({key: value for key, value in leaves(side) if key} for side in (old, new))
    keys = [k for k in sorted({*before, *after}) if repr(before.get(k, _ABSENT)) != repr(after.get(k, _ABSENT))]
    return [(key, _show(before.get(key, _ABSENT)), _show(after.get(key, _ABSENT))) for key in keys]


def change_lines(changed: Iterable[tuple[str, str, str]], limit: int = 8) -> list[str]:
    """Return lines that describe changes, such as `synthesis.tau: 8.0 -> 7.0`.

    `changed`: the changes, as the function `changes` returns them. If there are more than `limit` lines, a last line
        says how many more.
    """
    lines = []
    for key, before, after in changed:
        section, _, rest = key.partition(".")
        if section in ("files", "inputs") and not rest:
            continue  # the whole section was or is now empty: the lines of its entries show that
        state = "added" if before == _NOT_SET else "removed" if after == _NOT_SET else "content changed"
        if section == "files":
            lines.append(f"{re.split('[/:]', rest)[0]}: {state}")  # one line per folder, however many files it has
        elif section == "inputs":
            lines.append(f"inputs.{rest}: {state}")
        elif section in ("version", "stage"):
            lines.append(f"{section} of the stage: {before} -> {after}")
        else:
            lines.append(f"{rest or section}: {before} -> {after}")
    lines = list(dict.fromkeys(lines))
    return lines[:limit] + ([f"... and {len(lines) - limit} more"] if len(lines) > limit else [])


def leaves(value: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    """Yield the dotted key and the value of every leaf in nested mappings and lists.

    A leaf is a value that is not a mapping or list. An empty mapping or list is a leaf, too.
    """
    if isinstance(value, Mapping) and value:
        pairs: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list) and value:
        pairs = enumerate(value)
    else:
        yield path, value
        return
    for key, inner in pairs:
        yield from leaves(inner, f"{path}.{key}" if path else str(key))


def _strip(value: Any, path: tuple[str, ...], drop: list[tuple[str, ...]], problems: list[Problem]) -> Any:
    if isinstance(value, Mapping):
        kept = {}
        for key, inner in value.items():
            if not isinstance(key, str):
                message = f"the key {key!r} is not text, so it has no canonical form"
                problems.append(Problem(_dotted(path), message, "write the key in quotes"))
            else:  # excluded keys are written to the manifest, so they are checked as well
                clean = _strip(inner, (*path, key), drop, problems)
                if key != RUNTIME and not _dropped((*path, key), drop):
                    kept[key] = oldest(clean) if key == TARGET and isinstance(clean, str) else clean
        return kept
    if isinstance(value, (list, tuple)):
        items = [(i, inner) for i, inner in enumerate(value) if not _dropped((*path, str(i)), drop)]
        return [_strip(inner, (*path, str(i)), drop, problems) for i, inner in items]
    if value is None or isinstance(value, (bool, str)) or type(value) is int:
        return value
    if type(value) is float and math.isfinite(value):
        return value
    message = f"{value!r:.80} ({type(value).__name__}) has no canonical form, so it cannot be part of a config"
    problems.append(
        Problem(_dotted(path), message, "use text, a finite number, true, false, null, a list or a mapping")
    )
    return None


def _dropped(path: tuple[str, ...], drop: list[tuple[str, ...]]) -> bool:
    return any(len(d) == len(path) and all(a in ("*", b) for a, b in zip(d, path, strict=True)) for d in drop)


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(path) or "(whole config)"


def _show(value: Any) -> str:
    if value is _ABSENT:
        return _NOT_SET
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
