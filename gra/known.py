"""A question whose answer is known, and where such questions come from: config names a source by its `_target_`.

A source is called as `target(settings, seeds) -> list[Known]`: `settings` are the mapping's other keys, `seeds` the run's seeds,
each with `id`, `instruction`, `response` and `domain`. It raises ConfigError for keys or files that cannot be used. Sources:

    gra.synthesis.committee.exact.source    seeds whose answer is exact: a number, a letter, "The answer is X."
    gra.simulation.known.source             seeds of the simulated world, by its truth
    eval.known.source                       training splits of GSM8K, ARC and MBPP, by the evaluation's own rules
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class AnySeed(Protocol):
    """What a source sees of a seed."""

    @property
    def id(self) -> str: ...
    @property
    def instruction(self) -> str: ...
    @property
    def response(self) -> str: ...
    @property
    def domain(self) -> str | None: ...


@dataclass(frozen=True)
class Known:
    """`response` is right, in its source's own words; `right(reply)` says whether any other reply is, None where no rule can tell.
    `wrong`: replies that its source knows to be wrong, if any."""

    id: str
    instruction: str
    response: str
    domain: str | None
    right: Callable[[str], bool | None] = field(compare=False, repr=False)
    wrong: tuple[str, ...] = ()


Source = Callable[[dict[str, object], Sequence[AnySeed]], list[Known]]
