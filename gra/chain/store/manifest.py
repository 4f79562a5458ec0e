"""Writes and reads manifest.json, which records how a finished folder was made: stage, config, inputs, versions, time,
host."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from gra.chain.stage import Stage
from gra.chain.store.fingerprint import fingerprint
from gra.errors import GraError, StoreError
from gra.fileio import read_json, sha256_file
from gra.labels import MANIFEST, MARK, simulated
from gra.paths import SNAPSHOT, snapshot_root, source_root

BEGUN = "begun.json"  # holds a working folder's identity; removed when the manifest is written
LIBRARIES = (
    *("gra", "torch", "transformers", "trl", "peft", "accelerate", "deepspeed", "vllm", "datasets", "lm-eval", "wandb"),
    *("sentence-transformers", "faiss-cpu", "numpy", "pyarrow", "pydantic", "hydra-core", "omegaconf"),
)

Manifest = dict[str, Any]


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def build(
    stage: Stage,
    *,
    identity: Mapping[str, Any],
    config: Mapping[str, Any],
    inputs: Mapping[str, Path],
    folder: Path,
    begun: str,
    metrics: Mapping[str, float],
    experiment: str | None = None,
) -> Manifest:
    """Return the manifest of a folder in which a stage has finished its work.

    `folder`: the working folder.
    `begun`: the time when the run started.
    `experiment`: the name of the experiment for which the folder was made (None: for no experiment).

    Raises GraError if a metric is not a finite number.
    """
    return {
        "stage": stage.name,
        "version": stage.version,
        "target": stage.target,
        "experiment": experiment,
        "hash": fingerprint(identity),
        "identity": dict(identity),
        "config": dict(config),
        "inputs": {name: {"hash": identity["inputs"][name], "folder": str(path)} for name, path in inputs.items()},
        "metrics": _metrics(stage, metrics),
        "simulated": (folder / MARK).exists() or simulated(inputs.values()),
        "start": begun,
        "end": now(),
        "host": socket.gethostname(),
        "versions": versions(),
        "git": git_state(),
        "files": {name: size for name, size in sizes(folder).items() if name not in (MANIFEST, BEGUN)},
    }


def read(folder: Path) -> Manifest:
    """Return the manifest of a finished folder. Raises StoreError if the manifest is missing or damaged.

    A manifest is damaged, for example, if its hash does not match the identity that it records.
    """
    remedy = f"the result is incomplete: rename it to {folder.name}.aside (its replies are reused), then run the command again"
    try:
        manifest = read_json(folder / MANIFEST)
        if manifest["hash"] != fingerprint(manifest["identity"]):
            raise StoreError(
                f"{folder / MANIFEST}: its hash does not match the identity that it records\n    -> {remedy}"
            )
        if not isinstance(manifest["metrics"], dict) or not isinstance(manifest["simulated"], bool):
            raise TypeError("`metrics` is not a mapping, or `simulated` is not true or false")
    except OSError as error:
        raise StoreError(f"{folder}: {MANIFEST} cannot be read: {error.strerror}\n    -> {remedy}") from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise StoreError(f"{folder / MANIFEST}: not a manifest ({error!r:.100})\n    -> {remedy}") from error
    return dict(manifest)


def outside_hash(path: Path) -> str:
    """Return the hash of an input that no step of the experiment makes. Such an input is a folder or a file.

    If another experiment or a command of one stage made the folder, the hash is the fingerprint in its manifest. So two
    folders that were made with the same config from the same inputs have the same hash. In any other case, and if a
    file no longer has the size that the manifest records, the hash is computed from the content. Raises OSError, StoreError.
    """
    if (path / MANIFEST).is_file():
        manifest = read(path)
        here = sizes(path)
        if all(here.get(name) == size for name, size in manifest.get("files", {}).items()):
            return str(manifest["hash"])
    return sha256_file(path)


def sizes(folder: Path) -> dict[str, int]:
    """Return a mapping from the relative path of every file below `folder` to its size in bytes."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.stat().st_size for p in files}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the key libraries. Libraries that are not installed are left out."""
    found = {"python": sys.version.split()[0]}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_state() -> dict[str, Any] | None:
    """Return the git commit of the running code, and whether the code differs from it. Outside a git checkout, return
    None.

    If the code is a copy made for a batch job (gra/cluster/snapshot.py), also return the hash of the difference.
    """
    if (snapshot := snapshot_root()) is not None:
        return dict(read_json(snapshot / SNAPSHOT))
    root = source_root()
    if root is None:
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(root, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None  # no git, or no commit yet; the versions of the libraries are recorded all the same


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout.strip()


def _metrics(stage: Stage, metrics: Mapping[str, float]) -> dict[str, float]:
    odd = {k: v for k, v in metrics.items() if not isinstance(v, (int, float)) or not math.isfinite(v)}
    if odd:
        raise GraError(f"{stage.target} returned metrics that are not finite numbers: {odd}\n    -> correct the stage")
    return {name: float(value) for name, value in metrics.items()}
