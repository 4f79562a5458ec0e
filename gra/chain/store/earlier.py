"""Finds the folders of earlier runs of a step that had another configuration. A new run may reuse their replies.

In the store, the folder of such a run has the same stage and name but another hash. For a run with an `output` folder,
there are two kinds of such folders: OUTPUT.partial-HASH8, to which working.py renames an unfinished folder, and a name
that starts with OUTPUT.aside, which error messages advise users to give to a damaged folder. At most the newest MOST
folders are used, because each folder also contains the replies that its run reused from older ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from gra.chain.stage import Stage
from gra.chain.store.fingerprint import hash8
from gra.chain.store.manifest import BEGUN, MANIFEST
from gra.chain.store.store import Store, slug
from gra.fileio import read_json
from gra.labels import PARTIAL
from gra.locks import holder

MOST = 8


def of_name(store: Store, stage: Stage, name: str, digest: str) -> list[Path]:
    """Return the folders of earlier runs of the step `name`, newest first, without the folders that a running process
    uses.

    `digest`: the fingerprint of the new run. The new run's own folder is left out, too.
    """
    wanted = re.compile(rf"{re.escape(f'{stage.name}-{slug(name)}')}-([0-9a-f]{{8}})(\.partial)?(\.aside.*)?")
    found = []
    for folder in store.root.glob(f"{stage.name}-{slug(name)}-*") if store.root.is_dir() else ():
        match = wanted.fullmatch(folder.name)
        if match is None or not folder.is_dir() or (match[1] == hash8(digest) and not match[3]):
            continue
        if holder(store.lock(stage.name, match[1])) is None:
            found.append(folder)
    return _newest(found)


def in_store(store: Store, stage: Stage, name: str, digest: str) -> list[Path]:
    """Return, of the folders that `of_name` returns, those whose replies may be reused."""
    return _reusable(stage, of_name(store, stage, name, digest))


def beside(stage: Stage, output: Path) -> list[Path]:
    """Return the folders of earlier runs into `output` whose replies may be reused, newest first. They lie beside
    `output`."""
    wanted = re.compile(rf"{re.escape(output.name)}\.(partial[-.].+|aside.*)")
    parent = output.parent
    found = parent.iterdir() if parent.is_dir() else ()
    return _reusable(stage, _newest(folder for folder in found if wanted.fullmatch(folder.name) and folder.is_dir()))


def identity_of(folder: Path) -> dict[str, object] | None:
    """Return the identity of the step to which a folder belongs: everything that decides its result (fingerprint.py).

    The step may be finished or unfinished. If the folder does not record the identity, return None.
    """
    found = _recorded(folder, "identity")
    return found if isinstance(found, dict) else None


def experiment_of(folder: Path) -> str | None:
    """Return the name of the experiment for which a finished or working folder was made.

    If the folder does not record it, return None.
    """
    found = _recorded(folder, "experiment")
    return found if isinstance(found, str) else None


def is_finished(folder: Path) -> bool:
    """Return whether the folder is a complete result, judged by its name and its manifest."""
    return (folder / MANIFEST).is_file() and not folder.name.endswith(PARTIAL)


def _recorded(folder: Path, key: str) -> object:
    """Return what the manifest has under `key`, or else the record of a working folder; None if neither has the key."""
    for name in (MANIFEST, BEGUN):
        try:
            return read_json(folder / name)[key]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _newest(folders: Iterable[Path]) -> list[Path]:
    return [folder for _, folder in sorted(((folder.stat().st_mtime_ns, folder) for folder in folders), reverse=True)]


def _reusable(stage: Stage, folders: Iterable[Path]) -> list[Path]:
    """Return at most MOST folders that contain something that the stage can reuse."""
    kept = stage.kept
    if kept is None or stage.reuse is None:
        return []
    return list(islice((folder for folder in folders if kept(folder)), MOST))
