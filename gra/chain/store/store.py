"""Finds finished results in the run store, and says where new ones go: `runs/store/<stage>-<name>-<hash8>/`.

A folder of this name is always finished, because an unfinished one has the ending `.partial`. Only the hash identifies
a result; the name is for people. If several arms, experiments or commands need the same result, it is made only once.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from gra.chain.store import manifest
from gra.chain.store.fingerprint import hash8
from gra.errors import StoreError
from gra.fileio import sync_folder
from gra.labels import PARTIAL

JOBS = ".jobs"  # the store's folder of what `gra submit` queued (gra/cluster/records.py)


@dataclass(frozen=True)
class Place:
    """The paths of one result.

    `partial`: the folder in which the stage works.
    `final`: the path to which this folder is renamed when it is finished.
    `lock`: the lock file.
    """

    final: Path

    @property
    def partial(self) -> Path:
        return self.final.with_name(self.final.name + PARTIAL)

    @property
    def lock(self) -> Path:
        return self.final.with_name(f".{self.final.name}.lock")


@dataclass(frozen=True)
class Store:
    """The run store. `root`: the folder that contains all results."""

    root: Path

    def find(self, stage: str, digest: str) -> Path | None:
        """Return the finished folder with the fingerprint `digest`, whatever its name. If there is none, return None.

        Raises StoreError if the folder is damaged, or if another result in the store has a fingerprint with the same
        first 8 digits.
        """
        for folder in self._folders(stage, digest, ""):
            found = manifest.read(folder)["hash"]
            if found == digest:
                return folder
            raise StoreError(
                f"{folder}: two different results share the first 8 digits of their hash ({found} and {digest})\n"
                "    -> use another store for this experiment (store=DIR)"
            )
        return None

    def find_partial(self, stage: str, digest: str) -> Path | None:
        """Return the working folder of an unfinished run with the fingerprint `digest`, or None."""
        return next(iter(self._folders(stage, digest, PARTIAL)), None)

    def place(self, stage: str, name: str, digest: str) -> Place:
        """Return the paths for the result of a step.

        If there is an unfinished run with the same fingerprint, return the paths of this run, so that it is resumed.
        Its name may differ from `name`.
        """
        begun = self.find_partial(stage, digest)
        folder = begun.name.removesuffix(PARTIAL) if begun else f"{stage}-{slug(name)}-{hash8(digest)}"
        return Place(self.root / folder)

    def lock(self, stage: str, digest: str) -> Path:
        """Return the path of the lock file of a result.

        The path does not contain the step's name, because two steps with different names may need the same result at
        the same time.
        """
        return self.root / ".locks" / f"{stage}-{hash8(digest)}.lock"

    def log(self, stage: str, name: str, digest: str) -> Path:
        """Return the path of the log file with a step's standard output and error. It lies beside the step's folder."""
        place = self.place(stage, name, digest)
        return place.final.with_name(place.final.name + ".log")

    def _folders(self, stage: str, digest: str, suffix: str) -> list[Path]:
        try:
            found = sorted(self.root.glob(f"{stage}-*-{hash8(digest)}{suffix}"))
        except OSError as error:
            raise StoreError(f"{self.root}: the run store cannot be read: {error.strerror}") from error
        return [folder for folder in found if folder.is_dir()]


def why_unusable(output: Path) -> str | None:
    """Return a text that says why `output` cannot be the folder of a result. If it can, return None.

    It cannot be the root of the file system, the current folder, or a folder above the current folder.
    """
    whole = output.resolve()
    if whole == Path(whole.anchor):
        return "is the root of the file system"
    return "is the current folder, or a folder above it" if Path.cwd().is_relative_to(whole) else None


def slug(text: str) -> str:
    """Return `text` in a form that can be part of a file name: only lower-case letters, digits, dots and dashes."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "x"


def publish(partial: Path, final: Path) -> None:
    """Sync `partial` to disk, then rename it to `final` in one step. Raises OSError."""
    for folder, _, files in os.walk(partial):
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                _sync_file(path)
        sync_folder(Path(folder))
    partial.rename(final)
    sync_folder(final.parent)


def _sync_file(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
