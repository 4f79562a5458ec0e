"""Finds, in a data folder's manifest, the seeds from which the data were made. `gra report` draws them on the map of
the data."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from gra.compare.arms import Arm
from gra.errors import SeedError
from gra.settings import parse
from gra.synthesis.seeds.load import load_seeds
from gra.synthesis.seeds.settings import SeedSettings, resolve

log = logging.getLogger(__name__)


def recorded_seeds(arm: Arm) -> list[tuple[str, str]]:
    """Return the id and the instruction of each seed sample from which the data of `arm` were made.

    Return [] if the manifest of the data names no seed samples, if their file is missing or unreadable, or if they come
    from the Hugging Face hub.
    """
    manifest = arm.manifests.get("data", {})
    config = manifest.get("config") or {}
    given = config.get("seeds")
    settings, problems = parse(SeedSettings, given, "seeds") if isinstance(given, Mapping) else (None, [])
    if settings is None or problems or settings.path is None or settings.hub is not None:
        return []
    base = _folder(arm, manifest.get("inputs"))
    if not resolve(settings.path, base).exists():
        return []
    seed = config.get("seed")
    try:
        found = load_seeds(settings, seed if isinstance(seed, int) else 0, base).seeds
    except SeedError as error:
        log.warning("the map shows no seeds: %s", str(error).splitlines()[0])
        return []
    return [(one.id, one.instruction) for one in found]


def _folder(arm: Arm, inputs: object) -> Path | None:
    """Return the folder of the step that made the seeds; None if no step made them. First look beside the data folder,
    because a user may have moved the two folders together; only then use the path that the manifest records."""
    entry = inputs.get("seeds") if isinstance(inputs, Mapping) else None
    where = entry.get("folder") if isinstance(entry, Mapping) else None
    if not isinstance(where, str):
        return None
    beside = arm.folders["data"].resolve().parent / Path(where).name
    return beside if beside.exists() else Path(where)
