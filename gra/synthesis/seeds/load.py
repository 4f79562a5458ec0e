"""Loads `Seed`s from the known seed sets, and from any data set in jsonl, json, csv, parquet or Arrow files or on the
hub.

Up to `seeds.max_bad` bad records are skipped and listed with their places. A seed whose source gives no id gets a hash
of its content as id. So the ids, and the subset that `limit` selects, stay the same when a file is moved, repacked or
recoded.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gra import labels
from gra.errors import SeedError
from gra.fileio import write_text
from gra.synthesis.committee.records import Seed
from gra.synthesis.seeds.checks import account, check_first_records, check_seeds, path_remedy
from gra.synthesis.seeds.reading import Reading
from gra.synthesis.seeds.settings import SeedSettings, resolve, seed_files
from gra.synthesis.seeds.text import Dropped, Fields
from gra.wellformed import printable

__all__ = [
    "BadSeed",
    "SeedSet",
    "SeedSettings",
    "check_first_records",
    "check_seeds",
    "load_seeds",
    "report_bad",
    "resolve",
    "seed_files",
]
log = logging.getLogger("gra.synthesis")
_SAMPLE_ID = re.compile(r"r\d+-\d{6,}")


@dataclass(frozen=True)
class BadSeed:
    """A skipped record: its place in the source, and the reason."""

    place: str
    reason: str


@dataclass(frozen=True)
class SeedSet:
    """The loaded seeds, in the order of their source.

    `bad`: the skipped records. `total`: the number of seeds before `limit` was applied. `duplicates`: how many of these
    seeds have the same instruction as an earlier seed. Duplicates are kept, because their answers may differ and a
    later step removes duplicates. `columns`: how the records were read. `notes`: messages about choices, e.g. of the
    split.

    Three attributes count the `seeds` from which something was removed. `system_prompts`: seeds that lost a system
    prompt. `turns_left_out`: seeds that lost turns other than the first question and its answer. `marks_cut_off`: seeds
    that lost reasoning or chat-template tokens.
    """

    seeds: list[Seed]
    bad: list[BadSeed]
    license: str | None
    name: str
    total: int
    duplicates: int
    columns: str | None = None
    notes: tuple[str, ...] = ()
    system_prompts: int = 0
    turns_left_out: int = 0
    marks_cut_off: int = 0

    def statistics(self) -> dict[str, Any]:
        """Return the facts about the seeds for stats.json. They say how many records were read, how many of them were
        bad and how many are used, how the records were read, and what was removed from them."""
        return {
            "read": self.total + len(self.bad),
            "bad": len(self.bad),
            "used": len(self.seeds),
            "columns": self.columns,
            "notes": list(self.notes),
            "system_prompts_left_out": self.system_prompts,
            "turns_left_out": self.turns_left_out,
            "marks_cut_off": self.marks_cut_off,
        }

    def account(self) -> str:
        """Return one line for the log and the data card. It says how many seeds are used, how they were read, and what
        was removed from them."""
        parts = [f"{len(self.seeds):,} of {self.total:,} seeds are used"]
        if self.bad:
            parts.append(f"{len(self.bad):,} records were skipped")
        if self.columns:
            parts.append(f"read as {self.columns}")
        out = {
            "a system prompt": self.system_prompts,
            "turns before the question or after its answer": self.turns_left_out,
            "reasoning or chat-template tokens": self.marks_cut_off,
        }
        left = [f"{n:,} had {what}" for what, n in out.items() if n]
        if left:
            parts.append(f"removed from seeds: {' and '.join(left)}")
        return "; ".join([*parts, *self.notes])


def load_seeds(settings: SeedSettings, seed: int, base: Path | None = None) -> SeedSet:
    """Read all seed records, and select `settings.limit` of them at random. The run's random seed `seed` decides which
    ones. If `base` is given, a relative path is a path inside that folder.

    Raises SeedError if no path is set, if the source cannot be read, if more than `max_bad` records are bad, or if
    there is no seed.
    """
    if settings.path is None:
        raise SeedError(f"seeds.path is not set\n    -> {path_remedy(settings)}")
    source = settings.path if settings.hub else str(resolve(settings.path, base))
    reading = Reading(settings, base)
    seeds: list[Seed] = []
    bad: list[BadSeed] = []
    dropped: dict[str, Dropped] = {}
    names: set[str] = set()
    instructions: set[bytes] = set()
    for place, found in reading.fields():
        if isinstance(found, Fields) and found.id is not None and found.id in names:
            found = f"id {found.id!r} is used by an earlier record"
            reading.faults.add(place, found)
        if isinstance(found, str):
            if len(bad) <= settings.max_bad:
                bad.append(BadSeed(place, found))
            continue
        identity = found.id or _identity(found, names)
        if _SAMPLE_ID.fullmatch(identity):  # renamed, so that journal and `parents` do not take it for a sample's id
            identity = f"seed-{identity}"
        names.add(identity)
        instructions.add(hashlib.sha256(found.instruction.encode()).digest()[:16])
        if found.dropped != Dropped():
            dropped[identity] = found.dropped
        seeds.append(
            Seed(identity, found.instruction, found.response, place, found.domain, found.keywords, found.summary)
        )
    if reading.faults.total > settings.max_bad or not seeds:
        raise SeedError(account(source, reading.faults, len(seeds), settings))
    chosen = _subset(seeds, settings.limit, seed)
    left = [dropped[s.id] for s in chosen if s.id in dropped]
    name = settings.name or settings.hub or Path(settings.path).name
    found_set = SeedSet(
        chosen,
        bad,
        settings.license,
        name,
        len(seeds),
        len(seeds) - len(instructions),
        reading.label(),
        tuple(reading.notes),
        sum(d.system for d in left),
        sum(d.turns > 0 for d in left),
        sum(d.marks for d in left),
    )
    log.info("seeds: %s: %s", name, printable(found_set.account()))
    return found_set


def report_bad(bad: Sequence[BadSeed], output: Path) -> None:
    """Report the skipped records `bad`. The first ten are logged, and all are written to the file bad_seeds.jsonl in
    `output`. If `bad` is empty, nothing is written."""
    for record in bad[:10]:
        log.warning("seed skipped: %s: %s", record.place, record.reason)
    if bad:
        lines = [json.dumps({"place": record.place, "reason": record.reason}, ensure_ascii=False) for record in bad]
        write_text(output / "bad_seeds.jsonl", "\n".join(lines) + "\n")
    if len(bad) > 10:
        log.warning("%d more seeds skipped: see %s", len(bad) - 10, output / "bad_seeds.jsonl")


def _identity(fields: Fields, taken: set[str]) -> str:
    """Return `seed-` and 8 hex digits of the content's sha256. If that is taken, by a copy or rarely by a collision, add `-2`,
    `-3` and so on."""
    stem = "seed-" + hashlib.sha256(f"{fields.instruction}\0{fields.response}".encode()).hexdigest()[:8]
    number, identity = 1, stem
    while identity in taken:
        number += 1
        identity = f"{stem}-{number}"
    return identity


def _subset(seeds: list[Seed], limit: int | None, seed: int) -> list[Seed]:
    """Return the `limit` seeds whose ids have the lowest hashes under `seed`, in their order. A smaller limit selects a subset of
    what a larger one selects."""
    if limit is None or limit >= len(seeds):
        return seeds
    ranks = {s.id: hashlib.sha256(f"{seed}\x1f{s.id}".encode()).digest() for s in seeds}
    chosen = set(heapq.nsmallest(limit, ranks, key=ranks.__getitem__))
    return [s for s in seeds if s.id in chosen]


def warn_of_foreign_seeds(settings: SeedSettings, folder: Path | None, models_simulated: bool) -> None:
    """Log a warning if the models are simulated and the seeds were not made for the simulated world. `folder`: the
    folder of the stage's input `seeds`; None if it has no such input."""
    warning = labels.foreign_seeds(models_simulated, [folder, *seed_files(settings).values()])
    if warning is not None:
        log.warning(warning)
