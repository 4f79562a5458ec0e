"""Reads the labels "simulated" and "quantized" of folders: the files `SIMULATED` and `QUANTIZED`, one line of text
each. Everything made from a labelled folder gets the same label."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from gra.fileio import read_json
from gra.wellformed import printable

MARK = "SIMULATED"  # the file's line says why the folder is labelled
QUANTIZED = "QUANTIZED"  # the model's weights were once rounded to a few bits; the file's line says how
MANIFEST = "manifest.json"
PARTIAL = ".partial"  # suffix of the folder of an unfinished stage
_CAP = 200  # maximum bytes read from a label file


def simulated(paths: Iterable[Path | None]) -> bool:
    """Return whether any of `paths` is labelled as made from simulated models or texts. A path that is None or does not
    exist (such as a hub id) counts as not labelled.

    A folder is labelled if it has a file SIMULATED, or `"simulated": true` in its manifest.json. A file has the labels
    of its folder. The parent folder is checked too, because users often name a part of a stage's output, e.g. its
    model/.
    """
    return any(
        _labelled(folder) for path in paths if path is not None and path.exists() for folder in _places(path.resolve())
    )


def foreign_seeds(models_simulated: bool, seeds: Iterable[Path | None]) -> str | None:
    """Return a warning if the models are simulated but none of the seed files `seeds` has the label "simulated".
    Otherwise return None. Simulated models can write only about an invented world. Seeds that are not from this world
    have no influence on what the models write."""
    if not models_simulated or simulated(seeds):
        return None
    return (
        "simulated models know only their own world: your seeds do not shape what they write, and the figures say nothing about "
        "your seeds or about real models (seeds of their world: python -m gra.simulation.world_stage world)"
    )


def quantized(paths: Iterable[Path | None]) -> str | None:
    """Return the text of the first label file QUANTIZED that is found for `paths`, on one line. Return None if there is
    no such file.

    The file says that a model's weights were once rounded to a few bits. The function looks in each folder, in its
    parent and in its subfolder model/, because users name any of these folders as a model. A path that is None or does
    not exist (such as a hub id) counts as not labelled.
    """
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
    """Return a sentence for tables and cards, without a full stop, that says that a model was trained from quantised
    weights. An example is "weights were 4-bit before training (...)". `label`: the text that `quantized` returned."""
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
        return False  # no manifest, or a file of another program
    return isinstance(manifest, dict) and manifest.get("simulated") is True
