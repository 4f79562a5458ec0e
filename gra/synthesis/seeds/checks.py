"""Checks the seeds before a run creates or pays for anything: settings, paths, and the columns of the first records."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

from gra import spelling
from gra.errors import ARROW, Problem, SeedError, parts_of
from gra.paths import located
from gra.synthesis.seeds.column_names import suggest
from gra.synthesis.seeds.columns import Columns
from gra.synthesis.seeds.known_sets import HUB_IDS, READERS
from gra.synthesis.seeds.reading import Faults, Reading
from gra.synthesis.seeds.settings import HUB, SeedSettings, resolve
from gra.synthesis.seeds.text import columns_of
from gra.typed import to_type

WORLD = "world"  # the name of the seeds of the simulated world (conf/seeds/world.yaml)
_CHECKED = 200  # records: enough to see the columns, few enough for a quick check


def check_seeds(
    settings: SeedSettings, *, base: Path | None = None, base_pending: bool = False, key: str = "seeds"
) -> list[Problem]:
    """Return the faults in the settings of the seeds, in their path and in their first records. `key`: the config key
    of the seeds, for messages.

    `base`: the folder inside which a relative path lies. `base_pending`: whether an earlier step still has to make this
    folder. If so, a relative path cannot be checked.
    """
    columns = settings.columns
    problems = []
    if columns.given and settings.format in READERS:
        problems.append(
            Problem(
                f"{key}.columns",
                f"format {settings.format} has its own columns",
                f"leave it out, or set {key}.format=auto",
            )
        )
    if columns.messages is not None and columns.instruction is not None:
        problems.append(
            Problem(f"{key}.columns", "both `messages` and `instruction` are mapped", "leave out one of them")
        )
    readable = False
    if settings.path is None:
        problems.append(Problem(f"{key}.path", "required, but not set", path_remedy(settings, key)))
    elif settings.hub is None and (not base_pending or located(settings.path).is_absolute()):
        path = resolve(settings.path, base)
        readable = path.exists()
        if not readable:
            advice = _of_world(key) if settings.name == WORLD else _nearest(path, key)
            problems.append(Problem(f"{key}.path", f"no such file or folder: {path}", advice))
    if columns.given and columns.messages is None and columns.instruction is None:
        problems.append(_no_instruction(settings, base, readable, key))
    return problems or (check_first_records(settings, base, key) if readable else [])


def _no_instruction(settings: SeedSettings, base: Path | None, readable: bool, key: str) -> Problem:
    """Return the problem that the column map names no instruction. The problem lists the existing columns and gives a
    map that the user can type."""
    first = _first_record(settings, base) if readable else None
    mapped = set(settings.columns.model_dump().values())
    left = {name: value for name, value in first.items() if name not in mapped} if isinstance(first, dict) else {}
    shown = f" ({columns_of(first)})" if isinstance(first, dict) else ""
    example = suggest(left, f"{key}.columns").partition(f" {key}.columns.response")[0] if left else ""
    return Problem(
        f"{key}.columns",
        f"neither `instruction` nor `messages` is mapped{shown}",
        f"set {example}" if example else f"set {key}.columns.instruction to the name of the column that holds it",
    )


def _first_record(settings: SeedSettings, base: Path | None) -> Any:
    reading = Reading(settings.model_copy(update={"columns": Columns()}), base)
    try:
        next(reading.fields(), None)
    except SeedError:  # `check_first_records` reports it once the columns are mapped
        return None
    return reading.first


def check_first_records(settings: SeedSettings, base: Path | None = None, key: str = "seeds") -> list[Problem]:
    """Return the faults in the first records of a file or folder. There is a fault if the file cannot be read, if no
    columns are recognised, or if too many records are bad. Hub data sets are not checked, because a check downloads
    nothing."""
    if settings.path is None or settings.hub is not None:
        return []
    reading = Reading(settings, base)
    good = bad = 0
    try:
        for _, found in islice(reading.fields(), _CHECKED):
            good, bad = good + (not isinstance(found, str)), bad + isinstance(found, str)
    except SeedError as error:
        what, advice = parts_of(error)
        return [Problem(f"{key}.path", what, advice or "fix the file, or give another one")]
    if good and bad <= settings.max_bad:
        return []
    source = resolve(settings.path, base)
    if not bad:
        return [Problem(f"{key}.path", f"{source}: no records", "give a file with records")]
    which = (
        f"{bad:,} of the first {good + bad:,} records are bad"
        if good
        else f"none of the first {bad:,} records can be used"
    )
    message = f"{source}: {which}: " + "; ".join(reading.faults.listed(5))
    where = f"{key}.columns" if reading.faults.of_columns * 2 > bad else f"{key}.path" if not good else f"{key}.max_bad"
    return [Problem(where, message, remedy(settings, reading.faults, good, key))]


def account(source: str, faults: Faults, good: int, settings: SeedSettings) -> str:
    """Return the message of a SeedError about bad records. It says how many records are bad, why, where they are, and
    what to do. `good`: the number of usable records."""
    if not faults.total:
        return f"{source}: no records{ARROW}give a file with records"
    head = f"{source}: {faults.total:,} of {faults.total + good:,} records are bad (seeds.max_bad={settings.max_bad}):"
    what = remedy(settings, faults, good)
    return "\n".join([head, *(f"  {line}" for line in faults.listed())]) + ARROW + what


def remedy(settings: SeedSettings, faults: Faults, good: int, key: str = "seeds") -> str:
    """Return what the user can do about bad records. If the records are bad because of their columns, the advice
    contains a column map that the user can type. `good`: the number of usable records."""
    recode = (
        "convert the file, e.g. iconv -f WINDOWS-1252 -t UTF-8; else " if faults.undecodable * 2 > faults.total else ""
    )
    advice = recode + "fix or remove these records" + (f", or raise {key}.max_bad to skip them" if good else "")
    if settings.format in READERS:
        return f"{advice}; if the file is not in the format {settings.format}, set {key}.format=auto"
    if override := faults.override(f"{key}.columns"):
        return f"map the columns, e.g. {override} (or {advice})"
    return advice


def path_remedy(settings: SeedSettings, key: str = "seeds") -> str:
    hub = HUB_IDS.get(settings.format, "NAME")
    return (
        f"set {key}.path=FILE (gzip or not), or to a folder of such files, or {key}.path={HUB}{hub} for a hub data set"
    )


def _of_world(key: str) -> str:
    """Return how to get the seeds of the simulated world."""
    return (
        f"make the seeds of the simulated world: python -m gra.simulation.world_stage world; then {key}={WORLD} "
        f"{key}.path=world/seeds/seeds.jsonl (an experiment makes its own, in its step `world`)"
    )


def _nearest(path: Path, key: str) -> str:
    """Return what to do about a missing file: use the most similar name in its folder, or correct the path after its existing
    part."""
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    if folder != path.absolute().parent:
        return f"{folder} exists, but has no {path.absolute().relative_to(folder).parts[0]!r}"
    near = spelling.near(path.name, sorted(p.name for p in folder.iterdir()), cutoff=0.5)
    if not near:
        return f"give an existing file, or {HUB}NAME for a hub data set"
    return f"did you mean {to_type(f'{key}.path', str(path.with_name(near[0])))}?"
