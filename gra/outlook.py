"""PURE: describes a step that has not run yet, for `gra plan`: lines of text, the expected cost, and the numbers from
which the costs of later steps are computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gra import work


@dataclass(frozen=True)
class Cost:
    """The expected cost of a step.

    `calls`: the number of calls to models. `tokens`: the number of all tokens in these calls. Both are 0 for a step
    that makes no calls. `flops`: the number of floating-point operations. `hours`: the GPU-hours (gra/work.py). `disk`:
    the bytes on disk that remain when the step is done. `unsized`: whether `flops` and `hours` are unknown and
    therefore set to 0, because the pool does not state the models' numbers of parameters.
    """

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
        """Return the cost as text, without the parts that are 0."""
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
    """What is known about a step that has not run yet.

    `lines`: a description for the user. `cost`: the expected cost, or None if it is unknown. `rows`: the number of
    records that the step will make. None means that it is unknown or that the step makes no data. `billions`: the size
    of the model that the step will make, in billions of parameters. None means that it is unknown or that the step
    makes no model.
    """

    lines: list[str] = field(default_factory=list)
    cost: Cost | None = None
    rows: float | None = None
    billions: float | None = None


Upstream = Mapping[str, Outlook]  # input -> the outlook of the unfinished step that makes it
