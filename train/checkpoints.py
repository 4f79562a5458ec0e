"""Which checkpoint to resume from: the newest whole one. A checkpoint is whole when its mark, written last, lists every
file in it with its size; anything else was torn by a kill or a full disk, is named in the log and removed."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

from gra.fileio import read_json, sync_folder, write_json

log = logging.getLogger(__name__)
MARK = "whole.json"
PREFIX = "checkpoint-"


def mark(folder: Path, **facts: Any) -> None:
    """Make `folder`'s files durable, then write its mark, holding `facts` besides names and sizes."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MARK)
    for path in files:
        with path.open("rb+") as handle:
            os.fsync(handle.fileno())
    sync_folder(folder)
    write_json(folder / MARK, {**facts, "files": {p.relative_to(folder).as_posix(): p.stat().st_size for p in files}})


def facts(folder: Path) -> dict[str, Any] | None:
    """What the mark of a whole checkpoint says; None if the checkpoint is torn."""
    try:
        found = read_json(folder / MARK)
        whole = all((folder / name).stat().st_size == size for name, size in found["files"].items())
    except (OSError, json.JSONDecodeError, KeyError, TypeError, AttributeError):
        return None
    return found if whole else None


def newest(folder: Path, remove_torn: bool = True) -> Path | None:
    """The newest whole checkpoint in `folder`, or None. Torn ones are reported and, by one process, removed: the trainer
    counts them when it decides which old checkpoints to delete."""
    found = []
    for path in folder.glob(f"{PREFIX}*"):
        step = path.name.removeprefix(PREFIX)
        if not (path.is_dir() and step.isdigit()):
            continue
        if facts(path) is not None:
            found.append((int(step), path))
        else:
            log.warning("checkpoint %s is torn (it was being written when the run ended): skipped", path)
            if remove_torn:
                shutil.rmtree(path)
    return max(found)[1] if found else None
