"""PURE: what `gra plan` says of an unfinished step: lines of text, its cost, and what later steps need to know for theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gra import work


@dataclass(frozen=True)
class Cost:
    """What a step is expected to take. `calls`, `tokens`: of models behind a server; `flops`: of calls or of training; `hours`: of
    one GPU (gra/work.py); `disk`: bytes that stay when the step is done. `unsized`: FLOPs and hours are unknown, and 0 here,
    because the pool does not state the models' parameters."""

    calls: float = 0.0
    tokens: float = 0.0
    flops: float = 0.0
    hours: float = 0.0
    disk: float = 0.0
    unsized: bool = False

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.calls + other.calls,
            self.tokens + other.tokens,
            self.flops + other.flops,
            self.hours + other.hours,
            self.disk + other.disk,
            self.unsized or other.unsized,
        )

    def in_words(self) -> str:
        """Return the parts that are not 0, in words."""
        parts = [
            f"{work.about(self.calls)} calls" if self.calls else "",
            f"{work.about(self.tokens)} tokens" if self.tokens else "",
            f"{work.short(self.flops)}FLOPs" if self.flops else "",
            f"{work.hours_in_words(self.hours)} GPU-hours" if self.hours else "",
            f"{work.disk(self.disk)} of disk at the end" if self.disk else "",
        ]
        return ", ".join(part for part in parts if part) or "nothing"


@dataclass(frozen=True)
class Outlook:
    """What is known of an unfinished step. `cost`: None if it is unknown; `rows`: records of the data that the step makes;
    `billions`: parameters of the model that it makes. None: unknown, or the step makes no such thing."""

    lines: list[str] = field(default_factory=list)
    cost: Cost | None = None
    rows: float | None = None
    billions: float | None = None


Upstream = Mapping[str, Outlook]  # input -> the outlook of the unfinished step that makes it
