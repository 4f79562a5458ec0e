"""The label "simulated": which folders carry it. What is made from a labelled folder is labelled, too (a file `SIMULATED`)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from gra.fileio import read_json

MARK = "SIMULATED"  # the file that labels a folder: one line of text that says why
QUANTIZED = "QUANTIZED"  # the file that labels a model folder whose weights were rounded to few bits before; one line says how
MANIFEST = "manifest.json"


def simulated(paths: Iterable[Path | None]) -> bool:
    """Whether any of `paths` was made from simulated models or texts; None and what is not there (a hub id) count as not.

    A folder is labelled by a file SIMULATED or by `"simulated": true` in its manifest.json, a file by those of its folder. The
    folder above counts as well: what users name is often a part of what a stage made, e.g. its model/.
    """
    return any(_labelled(folder) for path in paths if path is not None and path.exists() for folder in _places(path.resolve()))


def _places(path: Path) -> tuple[Path, Path]:
    folder = path if path.is_dir() else path.parent
    return folder, folder.parent


def _labelled(folder: Path) -> bool:
    if (folder / MARK).is_file():
        return True
    try:
        manifest = read_json(folder / MANIFEST)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return False  # none, or none of ours
    return isinstance(manifest, dict) and manifest.get("simulated") is True
