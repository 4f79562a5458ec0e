"""Finds and places results in the run store, `runs/store/<stage>-<name>-<hash8>/`. A folder is finished or does not exist.

Only the hash identifies a result; the name is for people. A result that one arm made is found by every other arm, experiment
or command that needs the same one.
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
    """The paths of one result. A stage works in `partial`, which is then published as `final`; `lock` is the lock file."""

    final: Path

    @property
    def partial(self) -> Path:
        return self.final.with_name(self.final.name + PARTIAL)

    @property
    def lock(self) -> Path:
        return self.final.with_name(f".{self.final.name}.lock")


@dataclass(frozen=True)
class Store:
    """The folder of all results."""

    root: Path

    def find(self, stage: str, digest: str) -> Path | None:
        """Return the finished folder of the step with this fingerprint, under any name; None if there is none. Raises
        StoreError if the folder is damaged, or if it belongs to another fingerprint with the same first 8 digits."""
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
        """Return the working folder that an unfinished run of the same step left, or None."""
        return next(iter(self._folders(stage, digest, PARTIAL)), None)

    def place(self, stage: str, name: str, digest: str) -> Place:
        """Return where a step's result goes: under the name of its unfinished run if there is one, else under `name`."""
        begun = self.find_partial(stage, digest)
        folder = begun.name.removesuffix(PARTIAL) if begun else f"{stage}-{slug(name)}-{hash8(digest)}"
        return Place(self.root / folder)

    def lock(self, stage: str, digest: str) -> Path:
        """Return the lock file of a result. It does not depend on the name, because two arms may need the same result at once."""
        return self.root / ".locks" / f"{stage}-{hash8(digest)}.lock"

    def log(self, stage: str, name: str, digest: str) -> Path:
        """Return the log file with a step's standard output and error, beside the step's folder. No run removes it."""
        place = self.place(stage, name, digest)
        return place.final.with_name(place.final.name + ".log")

    def _folders(self, stage: str, digest: str, suffix: str) -> list[Path]:
        try:
            found = sorted(self.root.glob(f"{stage}-*-{hash8(digest)}{suffix}"))
        except OSError as error:
            raise StoreError(f"{self.root}: the run store cannot be read: {error.strerror}") from error
        return [folder for folder in found if folder.is_dir()]


def why_unusable(output: Path) -> str | None:
    """Return why `output` cannot hold a result (it is the file system's root, the current folder or a folder above it), else
    None."""
    whole = output.resolve()
    if whole == Path(whole.anchor):
        return "is the root of the file system"
    return "is the current folder, or a folder above it" if Path.cwd().is_relative_to(whole) else None


def slug(text: str) -> str:
    """Return `text` as part of a file name: lower-case letters, digits, dots and dashes."""
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
