"""One step, done once: lock, look up, work in `.partial`, write the manifest, publish. For the chain and the stages' own apps."""

from __future__ import annotations

import errno
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gra.chain import manifest
from gra.chain.earlier import beside, in_store
from gra.chain.fingerprint import differences, fingerprint, identity
from gra.chain.manifest import BEGUN, MANIFEST, Manifest
from gra.chain.stage import Config, Stage
from gra.chain.store import Place, Store, not_of_its_own, publish
from gra.chain.working import begin
from gra.errors import ConfigError, Problem, StoreError
from gra.fileio import read_json, remove_temporaries, sha256_file, write_json
from gra.locks import locked
from gra.typed import word_for

_DISK_ERRORS = {errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY}
_FOLLOW_SECONDS = 120


@dataclass(frozen=True)
class Result:
    """A finished folder, and whether it had been there before."""

    folder: Path
    manifest: Manifest
    reused: bool


def identify(stage: Stage, config: Config, inputs: Mapping[str, str]) -> dict[str, Any]:
    """The identity of a step (see fingerprint.py), reading the files that its config names. Raises ConfigError."""
    try:
        named = stage.external_files(config)
    except OSError as error:
        raise ConfigError([_unreadable("(files that the config names)", "a file", error)]) from error
    inside = {key for key, name in stage.inside_inputs.items() if name in inputs and key in named and not named[key].is_absolute()}
    files: dict[str, str] = {}
    problems: list[Problem] = []
    for key, path in named.items():
        try:
            files |= {key: sha256_file(path)} if key not in inside else {}
        except OSError as error:
            problems.append(_unreadable(key, path, error))
    if problems:
        raise ConfigError(problems)
    return identity(stage.name, stage.version, config, inputs, files, stage.not_hashed)


def _unreadable(key: str, path: object, error: OSError) -> Problem:
    remedy = "give a file (or folder) that is there and can be read"
    return Problem(key, f"{error.filename or path}: cannot be read: {error.strerror}", remedy)


def run_in_store(
    stage: Stage, config: Config, inputs: Mapping[str, Path], hashes: Mapping[str, str], store: Store, name: str, expected: str
) -> Result:
    """Make, resume or find the step's result in the store. `hashes`: each input's fingerprint; `expected`: the step's own.

    Raises StoreError, and whatever the stage raises; then what was done stays in the working folder for the next run.
    """
    who = identify(stage, config, hashes)
    digest = fingerprint(who)
    if digest != expected:
        raise StoreError(f"{name}: a file that its config names was changed after the plan was made\n    -> run the command again")
    if follower() or stage.follower(dict(config)):
        found = store.find(stage.name, digest)
        place = Place(found) if found else store.place(stage.name, name, digest)
        return _follow(stage, config, inputs, who, place)
    with locked(store.lock(stage.name, digest), _waiting(name)):
        found = store.find(stage.name, digest)
        if found:
            return Result(found, manifest.read(found), reused=True)
        place = store.place(stage.name, name, digest)
        return _work(stage, config, inputs, who, place, lambda: in_store(store, stage, name, digest))


def run_in_folder(stage: Stage, config: Config, inputs: Mapping[str, Path], hashes: Mapping[str, str], output: Path) -> Result:
    """The same with the folder `output` as the result's place: what a stage's own command does.

    Raises StoreError, saying what differs, if `output` was made from another configuration.
    """
    if fault := not_of_its_own(output):
        raise StoreError(f"{output} {fault}\n    -> give a folder of its own: output=DIR")
    who = identify(stage, config, hashes)
    place = Place(output)
    if follower() or stage.follower(dict(config)):
        return _follow(stage, config, inputs, who, place)
    with locked(place.lock, _waiting(str(output))):
        if output.is_file():
            raise StoreError(f"{output}: is a file\n    -> give another folder: output=DIR")
        if output.is_dir() and any(output.iterdir()):
            if not (output / MANIFEST).exists():
                raise StoreError(f"{output}: is there and not empty, and no stage made it\n    -> give another folder: output=DIR")
            there = manifest.read(output)
            _same(there["identity"], who, output, _other_place(stage, output))
            return Result(output, there, reused=True)
        return _work(stage, config, inputs, who, place, lambda: beside(stage, output))


def _work(
    stage: Stage, config: Config, inputs: Mapping[str, Path], who: dict[str, Any], place: Place, earlier: Callable[[], list[Path]]
) -> Result:
    """Run the stage in the working folder and publish it; the caller holds the lock and knows that `place.final` is not there.
    `earlier`: the folders of earlier runs of the step, whose replies may be used again."""
    with _disk_errors(place.partial):
        begun = begin(stage, place, who)
        if not (place.partial / MANIFEST).exists():  # else: killed between the last two lines below, an earlier time
            given = stage.reuse(dict(config), earlier()) if stage.reuse is not None else dict(config)
            metrics = stage.run(given, dict(inputs), place.partial)
            remove_temporaries(place.partial)
            record = manifest.build(
                stage, identity=who, config=config, inputs=inputs, folder=place.partial, begun=begun, metrics=metrics
            )
            write_json(place.partial / MANIFEST, record)
        (place.partial / BEGUN).unlink(missing_ok=True)
        publish(place.partial, place.final)
    return Result(place.final, manifest.read(place.final), reused=False)


def follower() -> bool:
    """Whether a launcher (torchrun and the like) started this process as one of several, and not as the first."""
    return int(os.environ.get("RANK") or 0) > 0


def _follow(stage: Stage, config: Config, inputs: Mapping[str, Path], who: dict[str, Any], place: Place) -> Result:
    """Work beside the first process of a group, in the folder that it locks, begins and publishes."""
    deadline = time.monotonic() + _FOLLOW_SECONDS
    while time.monotonic() < deadline:
        if (place.final / MANIFEST).exists():
            return Result(place.final, manifest.read(place.final), reused=True)
        if (place.partial / BEGUN).exists() and not differences(read_json(place.partial / BEGUN)["identity"], who):
            stage.run(dict(config), dict(inputs), place.partial)
            return Result(place.final, {}, reused=False)
        time.sleep(0.1)
    raise StoreError(
        f"{place.partial}: the first process (RANK=0) has not begun within {_FOLLOW_SECONDS} s\n    -> see its messages"
    )


def _same(there: Mapping[str, Any], here: Mapping[str, Any], folder: Path, remedy: str) -> None:
    lines = differences(there, here)
    if lines:
        listed = "\n    ".join(lines)
        raise StoreError(f"{folder}: was made from another configuration:\n    {listed}\n    -> {remedy}")


def _other_place(stage: Stage, output: Path) -> str:
    """What to do about a finished folder in the way, at no price."""
    if stage.reuse is None:
        return f"give another folder (output=DIR), or remove {output}"
    reuse = shlex.quote(f"runtime.reuse=[{word_for(str(output))}]")
    return f"give another folder: output=DIR {reuse} (replies to requests that stay the same are used again)"


def _waiting(what: str) -> Any:
    def tell(who: str) -> None:
        print(f"{what}: {who} is working on it; waiting for its result", file=sys.stderr, flush=True)

    return tell


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Faults of the disk below the working folder as StoreErrors; others, and files elsewhere, are the stage's own affair."""
    try:
        yield
    except OSError as error:
        ours = error.filename is None or str(error.filename).startswith(str(folder.parent))
        if error.errno not in _DISK_ERRORS or not ours:
            raise
        remedy = "make room or choose a folder that can be written; the same command then goes on from here"
        raise StoreError(f"{error.filename or folder}: {error.strerror}\n    -> {remedy}") from error
