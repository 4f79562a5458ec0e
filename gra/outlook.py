"""PURE: describes an unfinished step for `gra plan`: lines of text, the step's cost, and the numbers that later steps
need to compute their own costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gra import work


@dataclass(frozen=True)
class Cost:
    """The expected cost of a step. `calls`: calls to models, and `tokens`: the tokens of these calls (only if the step
    calls servers); `flops`: floating-point operations of the step's calls, training or evaluation; `hours`: GPU-hours
    (gra/work.py); `disk`: bytes that remain when the step is done. `unsized`: true if FLOPs and hours are unknown
    because the pool does not state the models' parameters; both are 0 in that case."""

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
        """Return the parts of the cost that are not 0, in words."""
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
    """What is known about an unfinished step. `cost`: None if it is unknown. `rows`: number of records that the step
    makes; None if it is unknown or the step makes no data. `billions`: billions of parameters of the model that the
    step makes; None if the number is unknown or the step makes no model."""

    lines: list[str] = field(default_factory=list)
    cost: Cost | None = None
    rows: float | None = None
    billions: float | None = None


Upstream = Mapping[str, Outlook]  # input -> the outlook of the unfinished step that makes it
