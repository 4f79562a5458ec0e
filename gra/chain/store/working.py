"""Creates or resumes the folder OUTPUT.partial, in which a stage works on the result OUTPUT.

If the folder was started with another configuration, it is removed, or, if something in it was paid for or took long
(`Stage.kept`), renamed to OUTPUT.partial-HASH8. A later run with the old configuration resumes the renamed folder. Runs
with other configurations reuse its replies to requests that did not change.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from gra.chain.stage import Stage
from gra.chain.store import manifest
from gra.chain.store.earlier import identity_of
from gra.chain.store.fingerprint import change_lines, changes, fingerprint, hash8
from gra.chain.store.manifest import BEGUN, MANIFEST
from gra.chain.store.store import Place
from gra.errors import StoreError
from gra.fileio import read_json, write_json


def begin(stage: Stage, place: Place, who: dict[str, Any], experiment: str | None = None) -> str:
    """Create the working folder of a run, or resume it if it exists. Return the time when it was first started.

    `who`: the identity of the run's step (fingerprint.py).
    `experiment`: the name of the experiment that the step belongs to, or None.

    Raises StoreError if the folder contains files that no stage wrote, and OSError if the disk fails.
    """
    partial = place.partial
    partial.mkdir(parents=True, exist_ok=True)
    if (partial / MANIFEST).exists() or (partial / BEGUN).exists():
        there = identity_of(partial)
        if there is None or changes(there, who):
            _clear(stage, place, there, who)
    elif any(not path.name.startswith(f".{BEGUN}.") for path in partial.iterdir()):
        raise StoreError(
            f"{partial}: holds files but no {BEGUN}, so no stage started it\n    -> rename it, or give another folder"
        )
    former = aside(place, fingerprint(who))
    if former.is_dir() and not any(partial.iterdir()) and identity_of(former) == who:
        partial.rmdir()
        former.rename(partial)
        _say(f"{partial}: resumed from {former.name}")
    if (partial / MANIFEST).exists():
        return str(manifest.read(partial)["start"])
    if (partial / BEGUN).exists():
        return str(read_json(partial / BEGUN).get("start") or manifest.now())
    start = manifest.now()
    write_json(partial / BEGUN, {"identity": who, "hash": fingerprint(who), "experiment": experiment, "start": start})
    return start


def aside(place: Place, digest: str) -> Path:
    """Return the path OUTPUT.partial-HASH8, to which an unfinished folder is renamed when a run with another
    configuration starts.

    `digest`: the fingerprint of the unfinished run.
    """
    return place.partial.with_name(f"{place.partial.name}-{hash8(digest)}")


def _clear(stage: Stage, place: Place, there: dict[str, Any] | None, who: dict[str, Any]) -> None:
    """Replace the old working folder, started with the identity `there` (None: not recorded), by an empty one."""
    partial = place.partial
    worth = worth_of(stage, partial)
    if not worth:
        shutil.rmtree(partial)
        partial.mkdir()
        return
    former = _free(
        aside(place, fingerprint(there)) if there is not None else partial.with_name(f"{partial.name}-unknown")
    )
    partial.rename(former)
    partial.mkdir()
    changed = changes(there, who) if there is not None else []
    what = change_lines(changed) or [f"{BEGUN} cannot be read"]
    lines = [f"{partial} was started with another configuration; it holds {worth} and is kept as {former.name}", *what]
    if stage.reuse is not None:
        lines += ["replies to unchanged requests are reused", *stage.bought_again([key for key, _, _ in changed])]
    _say("\n    ".join(lines))


def worth_of(stage: Stage, folder: Path) -> str:
    """Return a short description of the costly work in a folder (paid calls, long computations), such as "3 files".

    Because of this work, the folder must not be removed. If there is none, return "".
    """
    if stage.kept is not None:
        return stage.kept(folder)
    files = sum(path.is_file() and path.name != BEGUN for path in folder.rglob("*"))
    return f"{files} file{'s' if files != 1 else ''}" if files else ""


def _free(path: Path) -> Path:
    """Return `path` if it does not exist, else the first of `path`-2, `path`-3, ... that does not exist."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
