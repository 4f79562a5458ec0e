"""The run store: `runs/store/<stage>-<name>-<hash8>/`, a folder per step that is either finished, with a manifest, or absent.

The hash alone says which result it is. The name in the middle is for people: whatever arm first made a result, every other
arm, experiment and command that needs the same finds it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from gra.chain import manifest
from gra.chain.fingerprint import hash8
from gra.errors import StoreError
from gra.fileio import sync_folder

PARTIAL = ".partial"


@dataclass(frozen=True)
class Place:
    """Where one result goes: worked on in `partial`, published as `final`, guarded by the lock file `lock`."""

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
        """The finished folder of the step with this fingerprint, under whatever name. Raises StoreError if it is broken."""
        for folder in self._folders(stage, digest, ""):
            found = manifest.read(folder)["hash"]
            if found == digest:
                return folder
            raise StoreError(
                f"{folder}: two different results share the first 8 digits of their hash ({found} and {digest})\n"
                "    -> rename neither: give this experiment another store (store=DIR)"
            )
        return None

    def find_partial(self, stage: str, digest: str) -> Path | None:
        """The working folder that an earlier run of the same step left."""
        return next(iter(self._folders(stage, digest, PARTIAL)), None)

    def place(self, stage: str, name: str, digest: str) -> Place:
        """Where a step's result is made: under the name that it was begun under, if it was, else under `name`."""
        begun = self.find_partial(stage, digest)
        folder = begun.name.removesuffix(PARTIAL) if begun else f"{stage}-{slug(name)}-{hash8(digest)}"
        return Place(self.root / folder)

    def lock(self, stage: str, digest: str) -> Path:
        """The lock file of a result; it does not depend on the name, as two arms may want the same at once."""
        return self.root / ".locks" / f"{stage}-{hash8(digest)}.lock"

    def log(self, stage: str, name: str, digest: str) -> Path:
        """Where a step's standard output and error go: beside its folder, kept."""
        place = self.place(stage, name, digest)
        return place.final.with_name(place.final.name + ".log")

    def _folders(self, stage: str, digest: str, suffix: str) -> list[Path]:
        try:
            found = sorted(self.root.glob(f"{stage}-*-{hash8(digest)}{suffix}"))
        except OSError as error:
            raise StoreError(f"{self.root}: the run store cannot be read: {error.strerror}") from error
        return [folder for folder in found if folder.is_dir()]


def not_of_its_own(output: Path) -> str | None:
    """Why `output` cannot be a result's place, where it is the file system's root, or the current folder, or one above it."""
    whole = output.resolve()
    if whole == Path(whole.anchor):
        return "is the root of the file system"
    return "is the folder that the command is run in, or one above it" if Path.cwd().is_relative_to(whole) else None


def slug(text: str) -> str:
    """`text` as part of a file name: lower-case letters, digits, dots and dashes."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "x"


def publish(partial: Path, final: Path) -> None:
    """Make `partial` durable, then visible as `final` by one rename. Raises OSError as the file system does."""
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
