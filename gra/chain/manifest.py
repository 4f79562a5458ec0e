"""`manifest.json`: what made a finished folder, from what, with which versions, when and where; and reading it back."""

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

from gra.chain.fingerprint import fingerprint
from gra.chain.stage import Stage
from gra.errors import GraError, StoreError
from gra.fileio import read_json, sha256_file
from gra.labels import MANIFEST, MARK, simulated
from gra.paths import source_root

BEGUN = "begun.json"  # what a working folder is being made from; gone once the manifest is there
LIBRARIES = (
    *("gra", "torch", "transformers", "trl", "peft", "accelerate", "deepspeed", "vllm", "datasets", "lm-eval", "wandb"),
    *("sentence-transformers", "faiss-cpu", "numpy", "pyarrow", "pydantic", "hydra-core", "omegaconf"),
)

Manifest = dict[str, Any]


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
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
) -> Manifest:
    """The manifest of the finished working folder `folder`. Raises GraError if a metric is not a finite number."""
    return {
        "stage": stage.name,
        "version": stage.version,
        "target": stage.target,
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
    """The manifest of a finished folder. Raises StoreError naming the folder if it is missing or does not fit its own hash."""
    remedy = f"this is no whole result: rename it to {folder.name}.aside (its replies are used again), then run the command again"
    try:
        manifest = read_json(folder / MANIFEST)
        if manifest["hash"] != fingerprint(manifest["identity"]):
            raise StoreError(f"{folder / MANIFEST}: its hash does not fit what it says it was made from\n    -> {remedy}")
        if not isinstance(manifest["metrics"], dict) or not isinstance(manifest["simulated"], bool):
            raise TypeError("metrics or simulated")
    except OSError as error:
        raise StoreError(f"{folder}: {MANIFEST} cannot be read: {error.strerror}\n    -> {remedy}") from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise StoreError(f"{folder / MANIFEST}: not a manifest ({error!r:.100})\n    -> {remedy}") from error
    return dict(manifest)


def outside_hash(path: Path) -> str:
    """The hash of a folder or file that no step of the experiment makes.

    A folder that a stage made counts by its manifest's hash: made twice from the same, it is the same input. Any other, or
    one whose files are no longer what the manifest lists (by size), counts by its content. Raises OSError, StoreError.
    """
    if (path / MANIFEST).is_file():
        manifest = read(path)
        here = sizes(path)
        if all(here.get(name) == size for name, size in manifest.get("files", {}).items()):
            return str(manifest["hash"])
    return sha256_file(path)


def sizes(folder: Path) -> dict[str, int]:
    """Relative path -> bytes of every file below `folder`."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.stat().st_size for p in files}


def versions() -> dict[str, str]:
    """Python's and the key libraries' versions; libraries that are not installed are left out."""
    found = {"python": sys.version.split()[0]}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_state() -> dict[str, Any] | None:
    """The commit that the code was run from and whether files had been changed since; None outside a git checkout."""
    root = source_root()
    if root is None:
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(root, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None  # no git here, or no commit yet: the library versions still tell what ran


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout.strip()


def _metrics(stage: Stage, metrics: Mapping[str, float]) -> dict[str, float]:
    odd = {k: v for k, v in metrics.items() if not isinstance(v, (int, float)) or not math.isfinite(v)}
    if odd:
        raise GraError(f"{stage.target} returned metrics that are not finite numbers: {odd}\n    -> this is a fault of the stage")
    return {name: float(value) for name, value in metrics.items()}
