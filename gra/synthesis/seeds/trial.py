"""Reads the seeds once before a run, to see whether they can be loaded and how many there are. Only their number is
kept in memory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from gra.errors import Problem, SeedError, parts_of
from gra.synthesis.seeds.load import SeedSettings, check_seeds, load_seeds, resolve

QUICK = 64 << 20  # bytes of seed files that `gra plan` reads to count the seeds


def problems(settings: SeedSettings | None, inputs: Mapping[str, Path | None], key: str = "seeds") -> list[Problem]:
    """Return the reasons why the seeds cannot be loaded; [] if they can be loaded. The seeds are files or a data set of
    the hub.

    If an earlier step has not made the seeds yet, nothing can be said, and [] is returned. If `settings` is None
    because the settings are invalid, or if `check_seeds` finds a fault, other checks report this, and [] is returned
    here.
    """
    base = inputs.get("seeds")
    if settings is None or not _readable_now(settings, inputs) or check_seeds(settings, base=base):
        return []
    found = _load(settings.model_dump_json(), base, _state(settings, base))
    if isinstance(found, int):
        return []
    what, remedy = parts_of(found)
    return [Problem(f"{key}.path", what, remedy or "fix the file, or give another one")]


def count(settings: SeedSettings, inputs: Mapping[str, Path | None]) -> int | None:
    """Return how many seeds there are. Return None if they cannot be counted yet, if they cannot be loaded, or if
    counting would be slow or need a network."""
    if not _readable_now(settings, inputs) or settings.hub is not None:
        return None
    state = _state(settings, inputs.get("seeds"))
    if not state or sum(size for _, size, _ in state) > QUICK:
        return None
    found = _load(settings.model_dump_json(), inputs.get("seeds"), state)
    return found if isinstance(found, int) else None


def _readable_now(settings: SeedSettings, inputs: Mapping[str, Path | None]) -> bool:
    if settings.path is None:
        return False
    pending = "seeds" in inputs and inputs["seeds"] is None  # an earlier step has not made the folder yet
    return settings.hub is not None or not pending or Path(settings.path).is_absolute()


def _state(settings: SeedSettings, base: Path | None) -> tuple[tuple[str, int, int], ...]:
    """Return path, size and modification time of each seed file; the seeds are read again only if these changed."""
    if settings.path is None or settings.hub is not None:
        return ()
    path = resolve(settings.path, base)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path] if path.is_file() else []
    return tuple((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files)


@lru_cache(maxsize=64)  # the arms of an experiment have the same seeds
def _load(settings: str, base: Path | None, state: tuple[tuple[str, int, int], ...]) -> int | str:  # noqa: ARG001 - `state` is the key
    """Return how many seeds there are, or the message why they cannot be loaded."""
    try:
        return load_seeds(SeedSettings.model_validate_json(settings), 0, base).total
    except SeedError as error:
        return str(error)
