"""Says why a folder is not the folder of a finished stage."""

from __future__ import annotations

from pathlib import Path

from gra.errors import ARROW
from gra.labels import MANIFEST, PARTIAL


def told(folder: Path, remedy: str) -> str:
    """Return an error's text that says why `folder` is not the folder of a finished stage. `remedy`: what the user can
    do if the folder exists, but no stage wrote it."""
    named = folder.name.endswith(PARTIAL)
    partial = folder if named else folder.with_name(folder.name + PARTIAL)
    if partial.is_dir() and (named or not folder.exists()):
        whole = folder.with_name(folder.name.removesuffix(PARTIAL))
        return (
            f"{partial}: unfinished: its run goes on or was stopped{ARROW}make the same call (or command) again: it resumes, "
            f"and the finished folder is {whole}"
        )
    if not folder.exists():
        return f"{folder}: no such folder{ARROW}correct the path"
    return f"{folder}: not the folder of a finished stage: it has no {MANIFEST}{ARROW}{remedy}"
