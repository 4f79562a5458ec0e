"""The working folder of a result: begun, taken up again, or put out of the way where another configuration began it.

A first try must not stand in the way of the second. What an earlier configuration left is removed where nothing in it was paid
for or took long (`Stage.kept`); else it is renamed to `OUTPUT.partial-HASH8`, is found again when that configuration comes back,
and its replies are used where requests are the same.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from gra.chain import manifest
from gra.chain.earlier import identity_of
from gra.chain.fingerprint import changes, fingerprint, hash8, told
from gra.chain.manifest import BEGUN, MANIFEST
from gra.chain.stage import Stage
from gra.chain.store import Place
from gra.errors import StoreError
from gra.fileio import read_json, write_json


def begin(stage: Stage, place: Place, who: dict[str, Any]) -> str:
    """Make the working folder, or take up the one that was begun from the identity `who`. Returns when it was first begun.

    Raises StoreError for a folder that no stage began, and OSError as the file system does.
    """
    partial = place.partial
    partial.mkdir(parents=True, exist_ok=True)
    if (partial / MANIFEST).exists() or (partial / BEGUN).exists():
        there = identity_of(partial)
        if there is None or changes(there, who):
            _clear(stage, place, there, who)
    elif any(not path.name.startswith(f".{BEGUN}.") for path in partial.iterdir()):
        raise StoreError(f"{partial}: holds files, but no {BEGUN} that says from what\n    -> rename it, or give another folder")
    former = aside(place, fingerprint(who))
    if former.is_dir() and not any(partial.iterdir()) and identity_of(former) == who:
        partial.rmdir()
        former.rename(partial)
        _say(f"{partial}: taken up again from {former.name}")
    if (partial / MANIFEST).exists():
        return str(manifest.read(partial)["start"])
    if (partial / BEGUN).exists():
        return str(read_json(partial / BEGUN).get("start") or manifest.now())
    start = manifest.now()
    write_json(partial / BEGUN, {"identity": who, "hash": fingerprint(who), "start": start})
    return start


def aside(place: Place, digest: str) -> Path:
    """Where the working folder of another configuration is kept."""
    return place.partial.with_name(f"{place.partial.name}-{hash8(digest)}")


def _clear(stage: Stage, place: Place, there: dict[str, Any] | None, who: dict[str, Any]) -> None:
    """Make way for a new working folder where the old one was begun from `there` (None: it does not say)."""
    partial = place.partial
    worth = worth_of(stage, partial)
    if not worth:
        shutil.rmtree(partial)
        partial.mkdir()
        return
    former = _free(aside(place, fingerprint(there)) if there is not None else partial.with_name(f"{partial.name}-unknown"))
    partial.rename(former)
    partial.mkdir()
    changed = changes(there, who) if there is not None else []
    what = told(changed) or [f"{BEGUN} cannot be read"]
    lines = [f"{partial} was begun from another configuration; it holds {worth} and is kept as {former.name}", *what]
    if stage.reuse is not None:
        lines += ["replies to requests that stay the same are used again", *stage.bought_again([key for key, _, _ in changed])]
    _say("\n    ".join(lines))


def worth_of(stage: Stage, folder: Path) -> str:
    """What a folder holds that must not be thrown away, in words; empty: nothing."""
    if stage.kept is not None:
        return stage.kept(folder)
    files = sum(path.is_file() and path.name != BEGUN for path in folder.rglob("*"))
    return f"{files} file{'s' if files != 1 else ''}" if files else ""


def _free(path: Path) -> Path:
    """`path`, or the first of `path`-2, `path`-3, ... that is not taken."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
