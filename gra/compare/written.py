"""Writes the sheets of a comparison beside its table, and removes sheets that an earlier comparison left in the same
folder.

The file RECORD lists the sheets that were written to the folder, with a hash of each. Only a file with a listed name
and the listed hash is removed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from gra.fileio import read_json, sha256_file, write_json, write_text

RECORD = ".sheets.json"  # exists only where there are such sheets


def write_sheets(folder: Path, sheets: Mapping[str, str]) -> list[str]:
    """Write `sheets` (file name -> text) to `folder`, and return the names of the files that were removed. A file is
    removed if an earlier call wrote it, nobody has changed it, and it is not in `sheets`."""
    before = _recorded(folder)
    gone = [
        name
        for name, digest in sorted(before.items())
        if name not in sheets and (folder / name).is_file() and sha256_file(folder / name) == digest
    ]
    for name in gone:
        (folder / name).unlink()
    if sheets:
        write_json(folder / RECORD, {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sheets.items()})
    else:
        (folder / RECORD).unlink(missing_ok=True)
    for name, text in sheets.items():
        write_text(folder / name, text)
    return gone


def told(folder: Path, removed: list[str]) -> list[str]:
    """Return a list with one line that tells the user which files were removed; [] if none was."""
    return [f"removed from {folder}, as an earlier call wrote them: {', '.join(removed)}"] if removed else []


def _recorded(folder: Path) -> dict[str, str]:
    """Return the sheets that the file RECORD lists: file name -> hash. Names of files outside the folder are left out.
    Return {} if the file cannot be read."""
    try:
        found = read_json(folder / RECORD)
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: digest for name, digest in found.items() if Path(name).name == name and isinstance(digest, str)}
