"""Copies the project's code when jobs are submitted. The jobs run the copy, so later edits do not affect them.

The copy holds the files that git tracks, as they are in the working tree, and new files that git does not ignore. If a
copy of the same code exists, it is used again. The file changes.diff in the copy is the difference from the commit.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from gra.errors import GraError
from gra.fileio import write_bytes, write_json
from gra.paths import SNAPSHOT, snapshot_root, source_root

PARTS = ("gra", "train", "eval", "conf", "slurm")
_DIFF = "changes.diff"


def take(store: Path) -> Path | None:
    """Copy the project's code to a folder below `store`. Return the folder.

    If the code is an installed package and not a git checkout, return None, because an installed package does not
    change. Raises GraError if the code cannot be copied.
    """
    if (here := snapshot_root()) is not None:
        return here  # this process is a job that submits, and runs a copy already
    root = source_root()
    if root is None:
        return None
    commit, names, diff = (
        _git(root, "rev-parse", "HEAD"),
        _names(root),
        _git(root, "diff", "HEAD", "--binary", "--", *PARTS),
    )
    digest = hashlib.sha256(commit)
    for name in names:
        digest.update(name.encode() + b"\0" + _content(root / name))
    folder = (store / ".code" / digest.hexdigest()[:12]).absolute()
    if (folder / SNAPSHOT).is_file():
        return folder
    making = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(making, ignore_errors=True)
    for name in names:
        place = making / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, place, follow_symlinks=False)
    write_bytes(making / _DIFF, diff)
    dirty = bool(diff) or bool(_new(root))
    state = {
        "commit": commit.decode().strip(),
        "dirty": dirty,
        "diff": hashlib.sha256(diff).hexdigest() if dirty else None,
    }
    write_json(making / SNAPSHOT, state)
    try:
        making.rename(folder)
    except OSError:  # another submission was quicker
        shutil.rmtree(making)
        if not (folder / SNAPSHOT).is_file():
            raise
    return folder


def _names(root: Path) -> list[str]:
    """Return the names of the snapshot's files: the tracked and new files that exist."""
    found = _git(root, "ls-files", "-z", "-c", "-o", "--exclude-standard", "--", *PARTS)
    return sorted(name for name in {*found.decode().split("\0")} - {""} if os.path.lexists(root / name))


def _new(root: Path) -> bytes:
    return _git(root, "ls-files", "-z", "-o", "--exclude-standard", "--", *PARTS)


def _content(path: Path) -> bytes:
    return str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()


def _git(root: Path, *arguments: str) -> bytes:
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", b"") or b"").decode(errors="replace").strip() or error
        raise GraError(
            f"{root}: the code cannot be copied: {said}\n    -> or let the jobs run it as it is: --live"
        ) from error
