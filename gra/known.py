"""Defines questions with known answers (`Known`) and the protocol of sources, which are functions that return such
questions. The config names a source's function in a key `_target_`.

A source is called as `target(settings, seeds) -> list[Known]`. `settings`: the keys beside `_target_` in the config.
`seeds`: the run's seed samples, each with `id`, `instruction`, `response` and `domain`. A source raises ConfigError for
keys or files that cannot be used. Sources:

    gra.synthesis.probe.exact.source        seeds with an exact answer: a number, a letter, "The answer is X."
    gra.simulation.known.source             seeds of the simulated world, checked against its truth
    gra.eval.suite.known.source             training splits of GSM8K, ARC and MBPP, scored by the evaluation's rules
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class AnySeed(Protocol):
    """A seed sample, with the fields that a source can use."""

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
    """A question with a known answer. It comes from a source, which is a function that the config names.

    `response`: a right answer. `right`: a function that returns whether a given reply is right, or None if no rule can
    decide. `wrong`: replies that the source knows to be wrong.
    """

    id: str
    instruction: str
    response: str
    domain: str | None
    right: Callable[[str], bool | None] = field(compare=False, repr=False)
    wrong: tuple[str, ...] = ()


Source = Callable[[dict[str, object], Sequence[AnySeed]], list[Known]]
