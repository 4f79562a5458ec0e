"""PURE: computes the fingerprint of a step, a sha256 over everything that decides its result and nothing else.

Included: the stage's name and version, its config, its inputs' fingerprints, and the content of the files named in the
config. Excluded: every mapping called `runtime`, at any depth, and the stage's NOT_HASHED keys, because neither changes the
result. Values without a canonical form (NaN, objects, keys that are not text) are refused, because equal configs must give
equal bytes.
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
    """Return `config` without `runtime` mappings and without the dotted keys in `drop` (`*` stands for any one key or index).

    Raises ConfigError, which names every value without a canonical form.
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
    """Return everything that decides a step's result, as one JSON-serialisable mapping, which `fingerprint` hashes.

    `inputs`: name -> fingerprint; `files`: dotted config key -> sha256 of the file that it names. The hash replaces the
    key's value, so the same file at another path is the same input.
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
    """Return the first 8 hex digits, which folder names contain."""
    return fingerprint[:8]


def differences(old: Mapping[str, Any], new: Mapping[str, Any], limit: int = 8) -> list[str]:
    """Return one line for each leaf in which two identities differ, at most `limit`, and then the number of further ones."""
    changed = changes(old, new)
    lines = [f"{key}: {before} there, {after} here" for key, before, after in changed[:limit]]
    return lines + ([f"... and {len(changed) - limit} more"] if len(changed) > limit else [])


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (key, old value, new value), as text, for each leaf in which two identities differ."""
    before, after = ({key: value for key, value in leaves(side) if key} for side in (old, new))
    keys = [k for k in sorted({*before, *after}) if repr(before.get(k, _ABSENT)) != repr(after.get(k, _ABSENT))]
    return [(key, _show(before.get(key, _ABSENT)), _show(after.get(key, _ABSENT))) for key in keys]


def change_lines(changed: Iterable[tuple[str, str, str]], limit: int = 8) -> list[str]:
    """Return `changes` as one line each, with the keys that users set: `synthesis.tau: 8.0 -> 7.0`. At most `limit` lines, and
    then the number of further ones."""
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
    """Yield the dotted key and the value of every leaf. An empty mapping or list is a leaf."""
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
