"""Writes the further sheets of a comparison, and removes those that an earlier comparison left in the same folder.

RECORD names the sheets that are in the folder, with a hash of each: a file with another name or another content is not ours and
stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from gra.fileio import read_json, sha256_file, write_json, write_text

RECORD = ".sheets.json"  # exists only where there are such sheets


def write_sheets(folder: Path, sheets: Mapping[str, str]) -> list[str]:
    """Write `sheets` (file name -> text) to `folder`, and remove sheets that an earlier call wrote there, if they are
    not in `sheets` and nobody has changed them. Return the names of the removed files."""
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
    """One line that names the removed files; [] if there are none."""
    return [f"removed from {folder}, as an earlier call wrote them: {', '.join(removed)}"] if removed else []


def _recorded(folder: Path) -> dict[str, str]:
    """Return the sheets of the record, without names of files elsewhere; {} without a readable record."""
    try:
        found = read_json(folder / RECORD)
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: digest for name, digest in found.items() if Path(name).name == name and isinstance(digest, str)}
