"""Finds the project's own files, in a checkout and in an installed wheel."""

from __future__ import annotations

import os
from pathlib import Path

from gra.errors import GraError

_PACKAGE = Path(__file__).resolve().parent
OWN = "gra:"
SNAPSHOT = "snapshot.json"  # file in a snapshot of the code: the commit and the hash of uncommitted changes


def conf_dir() -> Path:
    """Return the folder of Hydra's YAML files: `gra/_conf` in an installed wheel, else the repository's `conf/`. Raises
    GraError if there is none."""
    for folder in (_PACKAGE / "_conf", _PACKAGE.parent / "conf"):
        if folder.is_dir():
            return folder
    raise GraError(
        f"no configuration files next to {_PACKAGE}\n    -> reinstall the package, or run from a complete checkout"
    )


def paper_dir() -> Path:
    """Return the folder of the paper's tables: `gra/_paper` in an installed wheel, else the repository's
    `results/paper/`. Raises GraError if there is none."""
    for folder in (_PACKAGE / "_paper", _PACKAGE.parent / "results" / "paper"):
        if folder.is_dir():
            return folder
    raise GraError(
        f"no tables of the paper next to {_PACKAGE}\n    -> reinstall the package, or run from a complete checkout"
    )


def expanded(path: object) -> Path:
    """Return `path` with a leading `~` or `~user` expanded. If there is no such user, return `path` unchanged. In that
    case, Path.expanduser would raise an exception."""
    return Path(os.path.expanduser(str(path)))  # noqa: PTH111


def located(path: object) -> Path:
    """Return the path of a file that a config names. If `path` has the form `gra:NAME`, it means the file NAME in
    `conf_dir()`, which comes with GRA. Otherwise, only a leading `~` or `~user` is replaced, by the function
    `expanded`.

    To name a file in the current folder whose own name begins with `gra:`, write `./gra:NAME`. Raises GraError like
    `conf_dir`.
    """
    text = str(path)
    return conf_dir() / text.removeprefix(OWN) if text.startswith(OWN) else expanded(text)


def source_root() -> Path | None:
    """Return the repository's folder if the code runs from a git checkout, else None."""
    root = _PACKAGE.parent
    return root if (root / ".git").exists() else None


def snapshot_root() -> Path | None:
    """Return the folder of the snapshot from which the code runs, or None if it does not run from a snapshot. A
    snapshot is the copy of the project's code that submitted jobs run (gra/cluster/snapshot.py)."""
    root = _PACKAGE.parent
    return root if (root / SNAPSHOT).is_file() else None


def slurm_dir() -> Path:
    """Return the folder of the Slurm job templates: `gra/_slurm` in an installed wheel, else the repository's `slurm/`.
    Raises GraError if there is none."""
    for folder in (_PACKAGE / "_slurm", _PACKAGE.parent / "slurm"):
        if (folder / "task.sbatch").is_file():
            return folder
    raise GraError(
        f"no Slurm job templates next to {_PACKAGE}\n    -> reinstall the package, or run from a complete checkout"
    )
