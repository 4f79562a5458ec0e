"""Seeds: any of the known sets, or any jsonl, json, csv, parquet, Arrow or hub data set -> `Seed`s.

Bad records are listed with their places and skipped, up to `seeds.max_bad`. Ids come from the content, so that they and
the subset drawn by `limit` stay the same when a file is moved, repacked, recoded or extended.
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

from gra.errors import SeedError
from gra.fileio import write_text
from gra.synthesis.records import Seed
from gra.synthesis.seed_checks import account, check_seeds, look_at, path_remedy
from gra.synthesis.seed_reading import Reading
from gra.synthesis.seed_settings import SeedSettings, resolve, seed_files
from gra.synthesis.seed_text import Dropped, Fields
from gra.wellformed import printable

__all__ = ["BadSeed", "SeedSet", "SeedSettings", "check_seeds", "load_seeds", "look_at", "report_bad", "resolve", "seed_files"]
log = logging.getLogger("gra.synthesis")
_SAMPLE_ID = re.compile(r"r\d+-\d{6,}")


@dataclass(frozen=True)
class BadSeed:
    """A record that is no seed: where it stands and why."""

    place: str
    reason: str


@dataclass(frozen=True)
class SeedSet:
    """Loaded seeds, in their source's order. `total`: seeds before `limit`; `duplicates`: of those, instructions met before
    (kept: their answers may differ, and deduplication is a step of its own). `columns`: how the records were read; `notes`: what
    was chosen where the source left a choice. Of the seeds drawn, `system_prompts` had a system prompt and `turns_left_out`
    turns that are not part of the seed; of `marks_cut_off` a model's reasoning or tokens of a chat template were cut off."""

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
        """For stats.json."""
        return {
            "read": self.total + len(self.bad), "bad": len(self.bad), "used": len(self.seeds), "columns": self.columns,
            "notes": list(self.notes), "system_prompts_left_out": self.system_prompts, "turns_left_out": self.turns_left_out,
            "marks_cut_off": self.marks_cut_off,
        }  # fmt: skip

    def account(self) -> str:
        """One line for log and card: where the seeds come from and what of them is left out."""
        parts = [f"{len(self.seeds):,} of {self.total:,} seeds are used"]
        if self.bad:
            parts.append(f"{len(self.bad):,} records were skipped")
        if self.columns:
            parts.append(f"read as {self.columns}")
        out = {"a system prompt": self.system_prompts, "turns before the question or after its answer": self.turns_left_out,
               "reasoning or tokens of a chat template": self.marks_cut_off}
        left = [f"{n:,} had {what}" for what, n in out.items() if n]
        if left:
            parts.append(f"left out of the seeds: {' and '.join(left)}")
        return "; ".join([*parts, *self.notes])


def load_seeds(settings: SeedSettings, seed: int, base: Path | None = None) -> SeedSet:
    """Read all seeds and draw `settings.limit` of them by `seed` (the run's). A relative path is one inside `base`, if given.

    Raises SeedError: no path, unreadable file or hub set, more than `max_bad` bad records, no seed at all.
    """
    if settings.path is None:
        raise SeedError(f"seeds.path is not set. {path_remedy(settings)}")
    source = settings.path if settings.hub else str(resolve(settings.path, base))
    reading = Reading(settings, base)
    seeds: list[Seed] = []
    bad: list[BadSeed] = []
    dropped: dict[str, Dropped] = {}
    names: set[str] = set()
    instructions: set[bytes] = set()
    for place, found in reading.fields():
        if isinstance(found, Fields) and found.id is not None and found.id in names:
            found = f"id {found.id!r} stands on an earlier record too"
            reading.faults.add(place, found)
        if isinstance(found, str):
            if len(bad) <= settings.max_bad:
                bad.append(BadSeed(place, found))
            continue
        identity = found.id or _identity(found, names)
        if _SAMPLE_ID.fullmatch(identity):  # the name of a sample to come: journal and parents must not mix them up
            identity = f"seed-{identity}"
        names.add(identity)
        instructions.add(hashlib.sha256(found.instruction.encode()).digest()[:16])
        if found.dropped != Dropped():
            dropped[identity] = found.dropped
        seeds.append(Seed(identity, found.instruction, found.response, place, found.domain))
    if reading.faults.total > settings.max_bad or not seeds:
        raise SeedError(account(source, reading.faults, len(seeds), settings))
    chosen = _draw(seeds, settings.limit, seed)
    left = [dropped[s.id] for s in chosen if s.id in dropped]
    name = settings.name or settings.hub or Path(settings.path).name
    found_set = SeedSet(
        chosen, bad, settings.license, name, len(seeds), len(seeds) - len(instructions), reading.label(), tuple(reading.notes),
        sum(d.system for d in left), sum(d.turns > 0 for d in left), sum(d.marks for d in left),
    )  # fmt: skip
    log.info("seeds: %s: %s", name, printable(found_set.account()))
    return found_set


def report_bad(bad: Sequence[BadSeed], output: Path) -> None:
    """Name the records that were skipped: the first ten in the log, all of them in bad_seeds.jsonl, if there are any."""
    for record in bad[:10]:
        log.warning("seed skipped: %s: %s", record.place, record.reason)
    if bad:
        lines = [json.dumps({"place": record.place, "reason": record.reason}, ensure_ascii=False) for record in bad]
        write_text(output / "bad_seeds.jsonl", "\n".join(lines) + "\n")
    if len(bad) > 10:
        log.warning("%d more seeds were skipped: %s", len(bad) - 10, output / "bad_seeds.jsonl")


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
