"""Runs one step unless its result already exists. Experiments and the commands of single stages use it.

A run takes the lock of the result and looks for a finished folder. If there is none, the stage works in FOLDER.partial;
then the manifest is written, and FOLDER.partial is renamed to FOLDER.
"""

from __future__ import annotations

import errno
import logging
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gra.chain.stage import Config, Stage, left_out
from gra.chain.store import manifest
from gra.chain.store.earlier import beside, in_store
from gra.chain.store.fingerprint import differences, fingerprint, hashed_config, identity
from gra.chain.store.manifest import BEGUN, MANIFEST, Manifest
from gra.chain.store.store import Place, Store, publish, why_unusable
from gra.chain.store.working import begin
from gra.errors import ConfigError, Problem, StoreError
from gra.fileio import read_json, remove_temporaries, sha256_file, write_json
from gra.locks import locked
from gra.typed import word_for

log = logging.getLogger("gra.chain")
_DISK_ERRORS = {
    errno.ENOSPC,
    errno.EROFS,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENOTEMPTY,
}
_FOLLOW_SECONDS = 120
PREVIOUS = "previous"  # name of a part's input that holds what the previous parts made


@dataclass(frozen=True)
class Result:
    """A finished folder. `reused`: whether it was already finished before this run."""

    folder: Path
    manifest: Manifest
    reused: bool


def identify(stage: Stage, config: Config, inputs: Mapping[str, str]) -> dict[str, Any]:
    """Return the identity of a step, which is everything that decides the step's result (fingerprint.py).

    The identity contains hashes of the files that the config names. If such a file cannot be read, ConfigError is
    raised.
    `inputs`: input name -> fingerprint of the input.
    """
    try:
        named = stage.external_files(config)
    except OSError as error:
        raise ConfigError([_unreadable("(files named in the config)", "a file", error)]) from error
    inside = {
        key
        for key, name in stage.inside_inputs.items()
        if name in inputs and key in named and not named[key].is_absolute()
    }
    files: dict[str, str] = {}
    problems: list[Problem] = []
    for key, path in named.items():
        try:
            files |= {key: sha256_file(path)} if key not in inside else {}
        except OSError as error:
            problems.append(_unreadable(key, path, error))
    if problems:
        raise ConfigError(problems)
    return identity(stage.name, stage.version, config, inputs, files, left_out(stage, config))


def _unreadable(key: str, path: object, error: OSError) -> Problem:
    remedy = "give a file (or folder) that exists and is readable"
    return Problem(key, f"{error.filename or path}: cannot be read: {error.strerror}", remedy)


def run_in_store(
    stage: Stage,
    config: Config,
    inputs: Mapping[str, Path],
    hashes: Mapping[str, str],
    store: Store,
    name: str,
    expected: str,
    patience_s: float | None = None,
    experiment: str | None = None,
) -> Result:
    """Return the result of a step from the store. If it is not finished, first make it, or resume an unfinished run.

    `hashes`: input name -> fingerprint of the input.
    `name`: the name of the step, which becomes part of the folder's name.
    `expected`: the fingerprint of the step when it was planned.
    `patience_s`: seconds to wait for another process that makes the result (None: no limit).
    `experiment`: the name of the step's experiment, for the manifest.

    Raises StoreError, and what the stage raises. After an error, the work done so far stays in the working folder, and
    the next run resumes from it.
    """
    who = identify(stage, config, hashes)
    digest = fingerprint(who)
    if digest != expected:
        raise StoreError(f"{name}: a file named in its config was changed after planning\n    -> run the command again")
    if follower() or stage.follower(dict(config)):
        found = store.find(stage.name, digest)
        place = Place(found) if found else store.place(stage.name, name, digest)
        return _follow(stage, config, inputs, who, place)
    with locked(store.lock(stage.name, digest), _waiting(name), patience_s):
        found = store.find(stage.name, digest)
        if found:
            return Result(found, manifest.read(found), reused=True)
        place = store.place(stage.name, name, digest)
        return _work(stage, config, inputs, who, place, lambda: in_store(store, stage, name, digest), experiment)


def run_in_folder(
    stage: Stage,
    config: Config,
    inputs: Mapping[str, Path],
    hashes: Mapping[str, str],
    output: Path,
    patience_s: float | None = None,
) -> Result:
    """Return the finished result that the folder `output` holds. If there is none, first run the stage, or resume the
    unfinished run that the folder holds.

    The commands of single stages call this function. If `output` was made with another configuration, StoreError is
    raised. Its message lists the differences.
    """
    if fault := why_unusable(output):
        raise StoreError(f"{output} {fault}\n    -> give the result its own folder: output=DIR")
    who = identify(stage, config, hashes)
    if (whole := stage.whole(dict(config), output)) is not None:
        there = manifest.read(whole)
        _same(_shared(stage, there["identity"]), _shared(stage, who), whole, _other_place(stage, whole))
        return Result(whole, there, reused=True)
    place = Place(output)
    if follower() or stage.follower(dict(config)):
        return _follow(stage, config, inputs, who, place)
    with locked(place.lock, _waiting(str(output)), patience_s):
        if output.is_file():
            raise StoreError(f"{output}: is a file\n    -> give another folder: output=DIR")
        if output.is_dir() and any(output.iterdir()):
            if not (output / MANIFEST).exists():
                raise StoreError(
                    f"{output}: is not empty, and no stage made it\n    -> give another folder: output=DIR"
                )
            there = manifest.read(output)
            _same(there["identity"], who, output, _other_place(stage, output))
            return Result(output, there, reused=True)
        return _work(stage, config, inputs, who, place, lambda: beside(stage, output))


def _work(
    stage: Stage,
    config: Config,
    inputs: Mapping[str, Path],
    who: dict[str, Any],
    place: Place,
    earlier: Callable[[], list[Path]],
    experiment: str | None = None,
) -> Result:
    """Run the stage in the working folder and publish the folder. The caller holds the lock and has checked that `place.final`
    does not exist. `earlier`: returns the folders of earlier runs of the step, whose replies may be reused."""
    with _disk_errors(place.partial):
        begun = begin(stage, place, who, experiment)
        if not (place.partial / MANIFEST).exists():  # if it exists, an earlier run was killed just before `publish`
            given = stage.reuse(dict(config), earlier()) if stage.reuse is not None else dict(config)
            metrics = stage.run(given, dict(inputs), place.partial)
            remove_temporaries(place.partial)
            record = manifest.build(
                stage,
                identity=who,
                config=config,
                inputs=inputs,
                folder=place.partial,
                begun=begun,
                metrics=metrics,
                experiment=experiment,
            )
            write_json(place.partial / MANIFEST, record)
        _report(place)
        (place.partial / BEGUN).unlink(missing_ok=True)
        publish(place.partial, place.final)
    return Result(place.final, manifest.read(place.final), reused=False)


def _report(place: Place) -> None:
    """Write report.html beside the result, outside its manifest: `gra report` may write it again."""
    from gra.compare.report.command import write_beside

    try:
        write_beside(place.partial, place.final.name)
    except Exception as error:  # noqa: BLE001 a page must not cost a finished result
        why = next(iter(str(error).splitlines()), type(error).__name__)
        log.warning("%s has no report.html (%s); to make it: gra report %s", place.final.name, why, place.final)


def follower() -> bool:
    """Return whether a launcher such as torchrun started this process as a rank other than 0."""
    return int(os.environ.get("RANK") or 0) > 0


def _follow(stage: Stage, config: Config, inputs: Mapping[str, Path], who: dict[str, Any], place: Place) -> Result:
    """Run the stage in a process that is not the first of a group of processes, such as one that torchrun started. Only
    the first process (rank 0) locks, creates and publishes the working folder; this one waits for the folder. Raises
    StoreError if it does not exist within _FOLLOW_SECONDS."""
    deadline = time.monotonic() + _FOLLOW_SECONDS
    while time.monotonic() < deadline:
        if (place.final / MANIFEST).exists():
            return Result(place.final, manifest.read(place.final), reused=True)
        if (place.partial / BEGUN).exists() and not differences(read_json(place.partial / BEGUN)["identity"], who):
            stage.run(dict(config), dict(inputs), place.partial)
            return Result(place.final, {}, reused=False)
        time.sleep(0.1)
    raise StoreError(
        f"{place.partial}: the first process (RANK=0) did not start within {_FOLLOW_SECONDS} s\n    -> see its log"
    )


def _same(there: Mapping[str, Any], here: Mapping[str, Any], folder: Path, remedy: str) -> None:
    lines = differences(there, here)
    if lines:
        listed = "\n    ".join(lines)
        head = f"{folder}: was made with another configuration (there: in this folder; here: in this command)"
        raise StoreError(f"{head}:\n    {listed}\n    -> {remedy}")


def _shared(stage: Stage, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the identities of a part and of its whole have in common."""
    config = hashed_config(identity["config"], stage.of_a_part)
    inputs = {name: digest for name, digest in identity["inputs"].items() if name != PREVIOUS}
    return {"config": config, "inputs": inputs, "files": identity["files"]}


def _other_place(stage: Stage, output: Path) -> str:
    """Return the remedy if a finished folder is in the way. With it, no reply is paid for again."""
    if stage.reuse is None:
        return f"give another folder (output=DIR), or remove {output}"
    reuse = shlex.quote(f"runtime.reuse=[{word_for(str(output))}]")
    return f"give another folder: output=DIR {reuse} (replies to unchanged requests are reused)"


def _waiting(what: str) -> Any:
    def report(who: str) -> None:
        print(f"{what}: {who} is working on it; waiting for its result", file=sys.stderr, flush=True)

    return report


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Turn disk errors below the working folder into StoreErrors. Other errors, and errors of other files, are left to the
    stage."""
    try:
        yield
    except OSError as error:
        ours = error.filename is None or str(error.filename).startswith(str(folder.parent))
        if error.errno not in _DISK_ERRORS or not ours:
            raise
        remedy = "free disk space or choose a writable folder, then run the same command again to resume"
        raise StoreError(f"{error.filename or folder}: {error.strerror}\n    -> {remedy}") from error
