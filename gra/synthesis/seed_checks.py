"""Faults of the seeds that are seen before anything is made or paid: settings, paths, and the first records' columns."""

from __future__ import annotations

import difflib
from itertools import islice
from pathlib import Path
from typing import Any

from gra.errors import Problem, SeedError
from gra.paths import located
from gra.synthesis.seed_columns import Columns, suggest
from gra.synthesis.seed_formats import READERS
from gra.synthesis.seed_reading import Faults, Reading
from gra.synthesis.seed_settings import HUB, SeedSettings, resolve
from gra.synthesis.seed_text import columns_of
from gra.typed import to_type

_LOOKED_AT = 200  # records: columns show in the first ones, and a check must stay cheap


def check_seeds(
    settings: SeedSettings, *, base: Path | None = None, base_pending: bool = False, key: str = "seeds"
) -> list[Problem]:
    """Faults that the settings, the path and the first records show. Relative paths lie in `base`, if given; `base_pending`: in a
    folder that an earlier step has yet to make, so they cannot be checked."""
    columns = settings.columns
    problems = []
    if columns.given and settings.format in READERS:
        problems.append(
            Problem(f"{key}.columns", f"format {settings.format} has its own columns", f"leave it out, or {key}.format=auto")
        )
    if columns.messages is not None and columns.instruction is not None:
        problems.append(Problem(f"{key}.columns", "both `messages` and `instruction` are mapped", "leave out one of them"))
    readable = False
    if settings.path is None:
        problems.append(Problem(f"{key}.path", "required, but not set", path_remedy(settings, key)))
    elif settings.hub is None and (not base_pending or located(settings.path).is_absolute()):
        path = resolve(settings.path, base)
        readable = path.exists()
        if not readable:
            problems.append(Problem(f"{key}.path", f"no such file or folder: {path}", _nearest(path, key)))
    if columns.given and columns.messages is None and columns.instruction is None:
        problems.append(_nothing_asked(settings, base, readable, key))
    return problems or (look_at(settings, base, key) if readable else [])


def _nothing_asked(settings: SeedSettings, base: Path | None, readable: bool, key: str) -> Problem:
    """A column map without an instruction: the columns that are there, and the map to type."""
    first = _first_record(settings, base) if readable else None
    mapped = set(settings.columns.model_dump().values())
    left = {name: value for name, value in first.items() if name not in mapped} if isinstance(first, dict) else {}
    shown = f" ({columns_of(first)})" if isinstance(first, dict) else ""
    example = suggest(left, f"{key}.columns").partition(f" {key}.columns.response")[0] if left else ""
    return Problem(
        f"{key}.columns", f"neither `instruction` nor `messages` is mapped{shown}",
        f"set {example}" if example else f"set {key}.columns.instruction to the name of the column that holds it",
    )  # fmt: skip


def _first_record(settings: SeedSettings, base: Path | None) -> Any:
    reading = Reading(settings.model_copy(update={"columns": Columns()}), base)
    try:
        next(reading.fields(), None)
    except SeedError:  # told by `look_at` once the columns are mapped
        return None
    return reading.first


def look_at(settings: SeedSettings, base: Path | None = None, key: str = "seeds") -> list[Problem]:
    """Faults that the first records of a file or folder show: it cannot be read, no columns are recognised, all are bad. Hub
    sets are left out: nothing is fetched for a check."""
    if settings.path is None or settings.hub is not None:
        return []
    reading = Reading(settings, base)
    good = bad = 0
    try:
        for _, found in islice(reading.fields(), _LOOKED_AT):
            good, bad = good + (not isinstance(found, str)), bad + isinstance(found, str)
    except SeedError as error:
        head, _, rest = str(error).partition("\n")
        return [Problem(f"{key}.path", head, rest.strip() or "correct the file, or give another")]
    if good and bad <= settings.max_bad:
        return []
    source = resolve(settings.path, base)
    if not bad:
        return [Problem(f"{key}.path", f"{source}: no records", "give a file with records")]
    message = f"{source}: {bad:,} of the first {good + bad:,} records are bad: " + "; ".join(reading.faults.listed(5))
    where = f"{key}.columns" if reading.faults.of_columns * 2 > bad else f"{key}.path" if not good else f"{key}.max_bad"
    return [Problem(where, message, remedy(settings, reading.faults, good, key))]


def account(source: str, faults: Faults, good: int, settings: SeedSettings) -> str:
    """The message of a SeedError about bad records: how many, for which reasons and where, what to do."""
    if not faults.total:
        return f"{source}: no records"
    head = f"{source}: {faults.total:,} of {faults.total + good:,} records are bad (seeds.max_bad={settings.max_bad}):"
    what = remedy(settings, faults, good)
    return "\n".join([head, *(f"  {line}" for line in faults.listed()), what[0].upper() + what[1:]])


def remedy(settings: SeedSettings, faults: Faults, good: int, key: str = "seeds") -> str:
    """What to do about bad records; where columns are the matter, the column map to type."""
    recode = "convert it, e.g. iconv -f WINDOWS-1252 -t UTF-8; else " if faults.undecodable * 2 > faults.total else ""
    advice = recode + "correct or remove these records" + (f", or raise {key}.max_bad to skip them" if good else "")
    if settings.format in READERS:
        return f"{advice}; if the file is not {settings.format}'s: {key}.format=auto"
    if override := faults.override(f"{key}.columns"):
        return f"say which column is which, e.g. {override} (or {advice})"
    return advice


def path_remedy(settings: SeedSettings, key: str = "seeds") -> str:
    hub = {"alpaca": "tatsu-lab/alpaca", "condor": "internlm/Condor-SFT-20K"}.get(settings.format, "NAME")
    return f"give {key}.path=FILE (gzip or not), a folder of such files, or {key}.path={HUB}{hub} for a hub data set"


def _nearest(path: Path, key: str) -> str:
    """What to do about a missing file: the most similar name in its folder, or the part of the path that does exist."""
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    if folder != path.absolute().parent:
        return f"{folder} is there, but not {path.absolute().relative_to(folder).parts[0]!r} in it"
    near = difflib.get_close_matches(path.name, sorted(p.name for p in folder.iterdir()), n=1, cutoff=0.5)
    if not near:
        return f"give a file that exists, or {HUB}NAME for a hub id"
    return f"did you mean {to_type(f'{key}.path', str(path.with_name(near[0])))}?"
