"""The screen of a synthesis: drops accepted samples that hold a piece of a benchmark item, and accounts for them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.synthesis.benchmark_items import read_items, sources, unknown_folders
from gra.synthesis.decontaminate_settings import DecontaminateSettings
from gra.synthesis.records import Outcome

if TYPE_CHECKING:
    from gra.synthesis.decontaminate import Coverage, Index

REASON = "contaminated"
OFF = "none, switched off (synthesis.decontaminate.enabled=false)"
NOTHING = "none, no benchmarks given"
_NAMES = 10  # benchmarks named in one line

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Screen:
    """What samples are compared with (`index` None: nothing), and `statement`, one line on it for card and statistics."""

    settings: DecontaminateSettings
    index: Index | None
    statement: str
    coverage: dict[str, Coverage]
    not_read: tuple[str, ...] = ()

    def __call__(self, outcome: Outcome) -> tuple[str, str] | None:
        """(reason, "benchmark/item: n-gram") if the sample's instruction or response hits a benchmark item, else None."""
        hit = None if self.index is None else self.index.find(outcome.instruction, outcome.response)
        return None if hit is None else (REASON, str(hit))

    def report(self, rejected: Iterable[Outcome]) -> dict[str, Any]:
        """decontamination.json: what was compared, and by benchmark the samples of `rejected` that it cost."""
        benchmarks: dict[str, dict[str, Any]] = {name: {**asdict(held), "hits": []} for name, held in self.coverage.items()}
        removed = 0
        for outcome in rejected:
            if outcome.reason == REASON and self.index is not None:
                hit = self.index.find(outcome.instruction, outcome.response)
                assert hit is not None  # the same texts, the same index
                benchmarks[hit.benchmark]["hits"].append({"sample": outcome.id, "item": hit.item, "n": hit.n, "ngram": hit.ngram})
                removed += 1
        rules = self.settings.model_dump(include={"enabled", "ngram", "short_ngram", "min_words", "max_items", "splits"})
        return {
            "decontamination": self.statement, "rules": rules, "removed": removed, "benchmarks": benchmarks,
            "folders_not_read": list(self.not_read),
        }  # fmt: skip


def build(settings: DecontaminateSettings, made: Path | None) -> Screen:
    """Read the benchmarks; `made`: the input `benchmarks`. Raises ConfigError for a file that cannot be read whole."""
    if not settings.enabled:
        return Screen(settings, None, OFF, {})
    found = sources(settings, made)
    if not found:
        log.warning("decontamination: %s (synthesis.decontaminate.data_dir or .files, or a step's input `benchmarks`)", NOTHING)
        return Screen(settings, None, NOTHING, {})
    from gra.synthesis.decontaminate import Index  # numpy: not loaded where nothing is compared

    not_read = unknown_folders(settings)
    if not_read:
        log.warning("decontamination: folders of data_dir whose records are not known, not compared with: %s", ", ".join(not_read))
    index = Index((item for source in found for item in read_items(source)), settings)
    coverage = index.coverage()
    total = sum(held.items for held in coverage.values())
    compared = total - sum(held.not_compared for held in coverage.values())
    names = list(dict.fromkeys(name.split("/")[0] for name in coverage))
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    short = "whole" if settings.short_ngram is None else f"{settings.short_ngram}-gram or whole"
    rule = f"{settings.ngram}-gram overlap (short items: {short})"
    statement = f"{rule} with {compared:,} of {total:,} items of {', '.join(names[:_NAMES])}{more}"
    log.info("decontamination: %s", statement)
    return Screen(settings, index, statement, coverage, tuple(not_read))
