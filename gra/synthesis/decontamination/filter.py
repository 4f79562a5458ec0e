"""Finds accepted samples that contain a piece of a benchmark item, so that they can be dropped, and reports them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.synthesis.committee.records import Outcome
from gra.synthesis.decontamination.settings import DecontaminateSettings
from gra.synthesis.decontamination.sources import read_items, sources, unknown_folders
from gra.worker_process import WorkerProcess

if TYPE_CHECKING:
    from gra.synthesis.decontamination.ngram_index import Coverage, Hit, Index

REASON = "contaminated"
OFF = "none, switched off (synthesis.decontaminate.enabled=false)"
NOTHING = "none, no benchmarks given"
_NAMES = 10  # maximum number of benchmarks named in one line

log = logging.getLogger(__name__)


class Comparison:
    """Compares texts with an index of the benchmarks' items. It runs in a worker process (gra/worker_process.py),
    because an index of 30,000 items takes some 300 MB of memory while it is built."""

    def __init__(self) -> None:
        self._index: Index | None = None

    def read(self, settings: DecontaminateSettings, made: Path | None) -> dict[str, Coverage]:
        """Read the benchmarks into the index. Return how many items of each benchmark can be compared. `made`: the
        output folder of a step that wrote benchmarks, or None. Raises ConfigError if a file cannot be read completely."""
        from gra.synthesis.decontamination.ngram_index import Index

        self._index = Index((item for source in sources(settings, made) for item in read_items(source)), settings)
        return self._index.coverage()

    def find(self, *texts: str) -> Hit | None:
        """Return the first match of one of the texts with a benchmark item (see `Index.find`). None if no text
        matches."""
        assert self._index is not None
        return self._index.find(*texts)


@dataclass(frozen=True)
class ContaminationFilter:
    """Decides which samples of a run contain part of a benchmark item.

    `worker`: the process that holds the index of benchmark items. It is None if there are no benchmarks, and then no
    sample is contaminated. `statement`: one line for the data card and stats.json that says what was compared.
    `not_read`: the folders of benchmarks that were not read, because their format is unknown.
    """

    settings: DecontaminateSettings
    statement: str
    coverage: dict[str, Coverage] = field(default_factory=dict)
    not_read: tuple[str, ...] = ()
    worker: WorkerProcess | None = None

    async def __call__(self, outcome: Outcome) -> tuple[str, str] | None:
        """Return (reason, "benchmark/item: n-gram") if the sample's instruction or response matches a benchmark item, else None."""
        if self.worker is None:
            return None
        hit = await asyncio.wrap_future(self.worker.call("find", outcome.instruction, outcome.response))
        return None if hit is None else (REASON, str(hit))

    def report(self, rejected: Iterable[Outcome]) -> dict[str, Any]:
        """Return the content of decontamination.json. It says what was compared and, for each benchmark, which samples
        were dropped because of it. `rejected`: all dropped samples of the run, whatever the reason."""
        benchmarks: dict[str, dict[str, Any]] = {
            name: {**asdict(held), "hits": []} for name, held in self.coverage.items()
        }
        removed = 0
        for outcome in rejected:
            if outcome.reason == REASON and self.worker is not None:
                hit = self.worker.call("find", outcome.instruction, outcome.response).result()
                assert hit is not None  # the same texts and index gave the hit before
                benchmarks[hit.benchmark]["hits"].append(
                    {"sample": outcome.id, "item": hit.item, "n": hit.n, "ngram": hit.ngram}
                )
                removed += 1
        rules = self.settings.model_dump(
            include={"enabled", "ngram", "short_ngram", "min_words", "max_items", "splits"}
        )
        return {
            "decontamination": self.statement,
            "rules": rules,
            "removed": removed,
            "benchmarks": benchmarks,
            "folders_not_read": list(self.not_read),
        }

    def close(self) -> None:
        """End the worker process."""
        if self.worker is not None:
            self.worker.close()


def build(settings: DecontaminateSettings, made: Path | None) -> ContaminationFilter:
    """Read the benchmarks and return the filter that compares samples with them. The benchmarks are those
    listed in `settings` and those in the folder `made`. `made`: the folder of a step that made benchmarks (the input
    `benchmarks`), or None. Raises ConfigError if a file cannot be read completely."""
    if not settings.enabled:
        return ContaminationFilter(settings, OFF)
    if not sources(settings, made):
        log.warning(
            "decontamination: %s (set synthesis.decontaminate.data_dir or .files, or a step's input `benchmarks`)",
            NOTHING,
        )
        return ContaminationFilter(settings, NOTHING)
    not_read = unknown_folders(settings)
    if not_read:
        log.warning(
            "decontamination: these folders of data_dir have an unknown format, so samples are not compared with them: %s",
            ", ".join(not_read),
        )
    worker = WorkerProcess("decontamination", "about 10 kB per benchmark item", Comparison)
    try:
        coverage = worker.call("read", settings, made).result()
    except BaseException:
        worker.close()
        raise
    statement = _statement(settings, coverage)
    log.info("decontamination: %s", statement)
    return ContaminationFilter(settings, statement, coverage, tuple(not_read), worker)


def _statement(settings: DecontaminateSettings, coverage: Mapping[str, Coverage]) -> str:
    total = sum(held.items for held in coverage.values())
    compared = total - sum(held.not_compared for held in coverage.values())
    names = list(dict.fromkeys(name.split("/")[0] for name in coverage))
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    short = "whole" if settings.short_ngram is None else f"{settings.short_ngram}-gram or whole"
    rule = f"{settings.ngram}-gram overlap (short items: {short})"
    return f"{rule} with {compared:,} of {total:,} items of {', '.join(names[:_NAMES])}{more}"
