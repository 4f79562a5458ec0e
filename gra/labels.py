"""The labels "simulated" and "quantized": which folders carry them. What is made from a labelled folder is labelled, too (files
`SIMULATED` and `QUANTIZED`, each a line of text)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from gra.fileio import read_json
from gra.wellformed import printable

MARK = "SIMULATED"  # the file that labels a folder: one line of text that says why
QUANTIZED = "QUANTIZED"  # the file that labels a model whose weights were rounded to few bits once; one line says how
MANIFEST = "manifest.json"
_CAP = 200  # bytes of a label that are read


def simulated(paths: Iterable[Path | None]) -> bool:
    """Whether any of `paths` was made from simulated models or texts; None and what is not there (a hub id) count as not.

    A folder is labelled by a file SIMULATED or by `"simulated": true` in its manifest.json, a file by those of its folder. The
    folder above counts as well: what users name is often a part of what a stage made, e.g. its model/.
    """
    return any(_labelled(folder) for path in paths if path is not None and path.exists() for folder in _places(path.resolve()))


def quantized(paths: Iterable[Path | None]) -> str | None:
    """What the label of the first labelled path says, on one line; None where none is. Looked for in a folder, the folder above and
    its model/, since a stage is given either; None and what is not there (a hub id) carry no label."""
    for path in paths:
        if path is None or not path.exists():
            continue
        here, above = _places(path.resolve())
        for folder in (here, above, here / "model"):
            try:
                words = (folder / QUANTIZED).read_bytes()[:_CAP].decode("utf-8", "replace")
            except OSError:
                continue
            return " ".join(printable(words).replace("`", "'").split())[:_CAP] or "weights of few bits"
    return None


def before_training(label: str) -> str:
    """The sentence for tables and cards on a label of `quantized`, without its end: "weights were 4-bit before training (...)"."""
    bits = re.match(r"\d+-bit", label)
    return f"weights were {bits[0] if bits else 'rounded to few bits'} before training ({label})"


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
