"""Seeds: any of the known sets, or any jsonl / json / parquet / hub data set with a column map -> `Seed`s.

Bad records are listed with their places and skipped, up to `seeds.max_bad`. Ids come from the content, so that they and
the subset drawn by `limit` stay the same when a file is moved, repacked or extended.
"""

from __future__ import annotations

import difflib
import hashlib
import heapq
import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from gra.errors import Problem, SeedError
from gra.fileio import write_text
from gra.settings import Settings
from gra.synthesis.records import Seed
from gra.synthesis.seed_formats import READERS, BadRecord, Columns, Fields, columns_of, mapped, shape_of
from gra.synthesis.seed_sources import SUFFIXES, Raw, read_files, read_hub

HUB = "hf:"
log = logging.getLogger("gra.synthesis")


class SeedSettings(Settings):
    """The `seeds` config group. "NS" marks a default that no source states."""

    path: str | None = Field(None, description="A file, a folder of data files, or hf:NAME for a hub data set.")
    format: Literal["auto", "alpaca", "wizardlm", "condor", "self_instruct", "jsonl", "json", "parquet", "hub"] = Field(
        "auto", description="A known set, or the kind of file (then `columns`, if its column names do not tell)."
    )
    config: str | None = Field(None, description="Hub data sets: the configuration's name.")
    split: str = Field("train", description="Hub data sets: the split.")
    revision: str | None = Field(None, description="Hub data sets: a commit; null: the newest, which may change between runs.")
    limit: int | None = Field(1000, ge=2, description="Seeds to use, a random subset drawn by the run's seed; null: all (NS).")
    max_bad: int = Field(50, ge=0, description="Bad records that are skipped; one more is an error.")
    columns: Columns = Columns()
    name: str | None = Field(None, description="What cards and tables call the set; null: the file's name or hub id.")
    license: str | None = Field(None, description="Licence id of the set, as hub cards spell it; null: unknown.")

    @property
    def hub(self) -> str | None:
        """The hub id, or None for files."""
        if self.path is None:
            return None
        return self.path.removeprefix(HUB) if self.format == "hub" or self.path.startswith(HUB) else None


_SAMPLE_ID = re.compile(r"r\d+-\d{6,}")


@dataclass(frozen=True)
class BadSeed:
    """A record that is no seed: where it stands and why."""

    place: str
    reason: str


@dataclass(frozen=True)
class SeedSet:
    """Loaded seeds, in their source's order. `total`: seeds before `limit`; `duplicates`: of those, instructions met before
    (kept: their answers may differ, and deduplication is a step of its own)."""

    seeds: list[Seed]
    bad: list[BadSeed]
    license: str | None
    name: str
    total: int
    duplicates: int


def load_seeds(settings: SeedSettings, seed: int, base: Path | None = None) -> SeedSet:
    """Read all seeds and draw `settings.limit` of them by `seed` (the run's). A relative path is one inside `base`, if given.

    Raises SeedError: no path, unreadable file or hub set, more than `max_bad` bad records, no seed at all.
    """
    if settings.path is None:
        raise SeedError(f"seeds.path is not set. {_path_remedy(settings)}")
    source = settings.path if settings.hub else str(resolve(settings.path, base))
    seeds: list[Seed] = []
    bad: list[BadSeed] = []
    reasons: Counter[str] = Counter()
    names: set[str] = set()
    instructions: set[bytes] = set()
    for place, found in _fields(settings, base):
        if isinstance(found, Fields) and found.id is not None and found.id in names:
            found = f"id {found.id!r} stands on an earlier record too"
        if isinstance(found, str):
            reasons[found] += 1
            if len(bad) <= settings.max_bad:
                bad.append(BadSeed(place, found))
            continue
        identity = found.id or _identity(found, names)
        if _SAMPLE_ID.fullmatch(identity):  # the name of a sample to come: journal and parents must not mix them up
            identity = f"seed-{identity}"
        names.add(identity)
        instructions.add(hashlib.sha256(found.instruction.encode()).digest()[:16])
        seeds.append(Seed(identity, found.instruction, found.response, place, found.domain))
    faults = sum(reasons.values())
    if faults > settings.max_bad or not seeds:
        raise SeedError(_account(source, bad, reasons, len(seeds), settings))
    chosen = _draw(seeds, settings.limit, seed)
    name = settings.name or settings.hub or Path(settings.path).name
    return SeedSet(chosen, bad, settings.license, name, len(seeds), len(seeds) - len(instructions))


def report_bad(bad: Sequence[BadSeed], output: Path) -> None:
    """Name the records that were skipped: the first ten in the log, all of them in bad_seeds.jsonl, if there are any."""
    for record in bad[:10]:
        log.warning("seed skipped: %s: %s", record.place, record.reason)
    if bad:
        lines = [json.dumps({"place": record.place, "reason": record.reason}, ensure_ascii=False) for record in bad]
        write_text(output / "bad_seeds.jsonl", "\n".join(lines) + "\n")
    if len(bad) > 10:
        log.warning("%d more seeds were skipped: %s", len(bad) - 10, output / "bad_seeds.jsonl")


def check_seeds(
    settings: SeedSettings, *, base: Path | None = None, base_pending: bool = False, key: str = "seeds"
) -> list[Problem]:
    """Faults that can be seen without reading the file. Relative paths lie in `base`, if given; `base_pending`: in a folder
    that an earlier step has yet to make, so they cannot be checked."""
    problems = []
    if settings.columns.given and settings.format in READERS:
        problems.append(
            Problem(f"{key}.columns", f"format {settings.format} has its own columns", f"leave it out, or {key}.format=auto")
        )
    if settings.columns.given and settings.columns.messages is None and settings.columns.instruction is None:
        problems.append(
            Problem(f"{key}.columns", "neither `instruction` nor `messages` is mapped", f"set {key}.columns.instruction=COLUMN")
        )
    if settings.columns.messages is not None and settings.columns.instruction is not None:
        problems.append(Problem(f"{key}.columns", "both `messages` and `instruction` are mapped", "leave out one of them"))
    if settings.path is None:
        problems.append(Problem(f"{key}.path", "required, but not set", _path_remedy(settings, key)))
    elif settings.hub is None and (not base_pending or Path(settings.path).is_absolute()):
        path = resolve(settings.path, base)
        if not path.exists():
            problems.append(Problem(f"{key}.path", f"no such file or folder: {path}", _nearest(path, key)))
        elif path.is_dir() and not any(p.name.lower().endswith(SUFFIXES) for p in path.iterdir()):
            problems.append(
                Problem(f"{key}.path", f"the folder holds no data file: {path}", f"known endings: {', '.join(SUFFIXES)}")
            )
    return problems


def seed_files(settings: SeedSettings, key: str = "seeds") -> dict[str, Path]:
    """The seed file or folder whose content belongs in a fingerprint, by config key. Empty for hub sets, and for a path
    that is not there yet (it lies in a stage's input, which has a fingerprint of its own)."""
    if settings.path is None or settings.hub is not None:
        return {}
    path = Path(settings.path).expanduser()
    return {f"{key}.path": path} if path.exists() else {}


def resolve(path: str, base: Path | None) -> Path:
    """`path`, in `base` if it is relative and there is one."""
    given = Path(path).expanduser()
    return given if base is None else base / given


def _fields(settings: SeedSettings, base: Path | None) -> Iterator[tuple[str, Fields | str]]:
    """(place, content) of every seed, (place, reason) of every bad record."""
    reader: Callable[[Any], list[Fields]] | None = None
    if settings.format in READERS:
        reader = READERS[settings.format]
    elif settings.columns.given:
        reader = mapped(settings.columns)
    for raw in _records(settings, base):
        if raw.fault is not None:
            yield raw.place, raw.fault
            continue
        if reader is None:
            reader = shape_of(raw.value)
        if reader is None:
            yield raw.place, f"not of a known format ({columns_of(raw.value)})"
            continue
        try:
            found = reader(raw.value)
        except BadRecord as error:
            yield raw.place, str(error)
            continue
        for fields in found:
            yield f"{raw.place}: {fields.part}" if fields.part else raw.place, fields


def _records(settings: SeedSettings, base: Path | None) -> Iterator[Raw]:
    assert settings.path is not None
    if settings.hub is not None:
        return read_hub(settings.hub, settings.config, settings.split, settings.revision)
    forced = settings.format if settings.format in ("jsonl", "json", "parquet") else None
    return read_files(resolve(settings.path, base), forced)


def _identity(fields: Fields, taken: set[str]) -> str:
    """`seed-` and 8 hex digits of the content's sha256; `-2`, `-3`, ... where that is taken (copies, rarely a collision)."""
    stem = "seed-" + hashlib.sha256(f"{fields.instruction}\0{fields.response}".encode()).hexdigest()[:8]
    number, identity = 1, stem
    while identity in taken:
        number += 1
        identity = f"{stem}-{number}"
    return identity


def _draw(seeds: list[Seed], limit: int | None, seed: int) -> list[Seed]:
    """The `limit` seeds whose ids rank lowest under a hash keyed by `seed`, in their order: a smaller limit draws a part of
    a larger one's."""
    if limit is None or limit >= len(seeds):
        return seeds
    ranks = {s.id: hashlib.sha256(f"{seed}\x1f{s.id}".encode()).digest() for s in seeds}
    chosen = set(heapq.nsmallest(limit, ranks, key=ranks.__getitem__))
    return [s for s in seeds if s.id in chosen]


def _account(source: str, bad: list[BadSeed], reasons: Counter[str], good: int, settings: SeedSettings) -> str:
    """The message of a SeedError: how many, the first ten, the commonest reasons, what to do."""
    total = sum(reasons.values())
    if not total:
        return f"{source}: no records"
    head = f"{source}: {total:,} of {total + good:,} records are bad (seeds.max_bad={settings.max_bad}). The first:"
    lines = [f"  {b.place}: {b.reason}" for b in bad[:10]]
    if len(reasons) > 1:
        lines.append("Most often: " + "; ".join(f"{reason} ({n:,})" for reason, n in reasons.most_common(3)))
    remedy = "Correct or remove these records, raise seeds.max_bad"
    if settings.format not in READERS:
        remedy += ", or say which column is which: seeds.columns.instruction=COLUMN seeds.columns.response=COLUMN"
    else:
        remedy += f", or, if the file is not {settings.format}'s, seeds.format=auto"
    return "\n".join([head, *lines, remedy])


def _path_remedy(settings: SeedSettings, key: str = "seeds") -> str:
    hub = {"alpaca": "tatsu-lab/alpaca", "condor": "internlm/Condor-SFT-20K"}.get(settings.format, "NAME")
    return f"give {key}.path=FILE (gzip or not), a folder of such files, or {key}.path={HUB}{hub} for a hub data set"


def _nearest(path: Path, key: str) -> str:
    """What to do about a missing file: the most similar name in its folder, or the part of the path that does exist."""
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    if folder != path.absolute().parent:
        return f"{folder} is there, but not {path.absolute().relative_to(folder).parts[0]!r} in it"
    near = difflib.get_close_matches(path.name, sorted(p.name for p in folder.iterdir()), n=1, cutoff=0.5)
    return f"did you mean {key}.path={path.with_name(near[0])}?" if near else f"give a file that exists, or {HUB}NAME for a hub id"
