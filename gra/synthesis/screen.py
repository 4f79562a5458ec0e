"""The screen of a synthesis: drops accepted samples that hold a piece of a benchmark item, and accounts for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.synthesis.benchmark_items import read_items, sources, unknown_folders
from gra.synthesis.decontaminate_settings import DecontaminateSettings
from gra.synthesis.helper import Helper
from gra.synthesis.records import Outcome

if TYPE_CHECKING:
    from gra.synthesis.decontaminate import Coverage, Hit, Index

REASON = "contaminated"
OFF = "none, switched off (synthesis.decontaminate.enabled=false)"
NOTHING = "none, no benchmarks given"
_NAMES = 10  # benchmarks named in one line

log = logging.getLogger(__name__)


class Comparison:
    """The benchmarks' items and who hits them. Lives in a process of its own (helper.py): an index of 30,000 items takes
    some 300 MB while it is made."""

    def __init__(self) -> None:
        self._index: Index | None = None

    def read(self, settings: DecontaminateSettings, made: Path | None) -> dict[str, Coverage]:
        """Read the benchmarks and tell what is compared. Raises ConfigError for a file that cannot be read whole."""
        from gra.synthesis.decontaminate import Index

        self._index = Index((item for source in sources(settings, made) for item in read_items(source)), settings)
        return self._index.coverage()

    def find(self, *texts: str) -> Hit | None:
        """As `Index.find`."""
        assert self._index is not None
        return self._index.find(*texts)


@dataclass(frozen=True)
class Screen:
    """What samples are compared with (`helper` None: nothing), and `statement`, one line on it for card and statistics."""

    settings: DecontaminateSettings
    statement: str
    coverage: dict[str, Coverage] = field(default_factory=dict)
    not_read: tuple[str, ...] = ()
    helper: Helper | None = None

    async def __call__(self, outcome: Outcome) -> tuple[str, str] | None:
        """(reason, "benchmark/item: n-gram") if the sample's instruction or response hits a benchmark item, else None."""
        if self.helper is None:
            return None
        hit = await asyncio.wrap_future(self.helper.call("find", outcome.instruction, outcome.response))
        return None if hit is None else (REASON, str(hit))

    def report(self, rejected: Iterable[Outcome]) -> dict[str, Any]:
        """decontamination.json: what was compared, and by benchmark the samples of `rejected` that it cost."""
        benchmarks: dict[str, dict[str, Any]] = {name: {**asdict(held), "hits": []} for name, held in self.coverage.items()}
        removed = 0
        for outcome in rejected:
            if outcome.reason == REASON and self.helper is not None:
                hit = self.helper.call("find", outcome.instruction, outcome.response).result()
                assert hit is not None  # the same texts, the same index
                benchmarks[hit.benchmark]["hits"].append({"sample": outcome.id, "item": hit.item, "n": hit.n, "ngram": hit.ngram})
                removed += 1
        rules = self.settings.model_dump(include={"enabled", "ngram", "short_ngram", "min_words", "max_items", "splits"})
        return {
            "decontamination": self.statement, "rules": rules, "removed": removed, "benchmarks": benchmarks,
            "folders_not_read": list(self.not_read),
        }  # fmt: skip

    def close(self) -> None:
        """End the helper process."""
        if self.helper is not None:
            self.helper.close()


def build(settings: DecontaminateSettings, made: Path | None) -> Screen:
    """Read the benchmarks; `made`: the input `benchmarks`. Raises ConfigError for a file that cannot be read whole."""
    if not settings.enabled:
        return Screen(settings, OFF)
    if not sources(settings, made):
        log.warning("decontamination: %s (synthesis.decontaminate.data_dir or .files, or a step's input `benchmarks`)", NOTHING)
        return Screen(settings, NOTHING)
    not_read = unknown_folders(settings)
    if not_read:
        log.warning("decontamination: folders of data_dir whose records are not known, not compared with: %s", ", ".join(not_read))
    helper = Helper("decontamination", "about 10 kB a benchmark item", Comparison)
    try:
        coverage = helper.call("read", settings, made).result()
    except BaseException:
        helper.close()
        raise
    statement = _statement(settings, coverage)
    log.info("decontamination: %s", statement)
    return Screen(settings, statement, coverage, tuple(not_read), helper)


def _statement(settings: DecontaminateSettings, coverage: Mapping[str, Coverage]) -> str:
    total = sum(held.items for held in coverage.values())
    compared = total - sum(held.not_compared for held in coverage.values())
    names = list(dict.fromkeys(name.split("/")[0] for name in coverage))
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    short = "whole" if settings.short_ngram is None else f"{settings.short_ngram}-gram or whole"
    rule = f"{settings.ngram}-gram overlap (short items: {short})"
    return f"{rule} with {compared:,} of {total:,} items of {', '.join(names[:_NAMES])}{more}"
