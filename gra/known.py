"""Defines questions with known answers (`Known`) and the protocol of their sources. The config names a source by its
`_target_`.

A source is called as `target(settings, seeds) -> list[Known]`. `settings` holds the other keys of the source's mapping in
the config; `seeds` are the run's seeds, each with `id`, `instruction`, `response` and `domain`. A source raises ConfigError
for keys or files that cannot be used. Sources:

    gra.synthesis.probe.exact.source        seeds with an exact answer: a number, a letter, "The answer is X."
    gra.simulation.known.source             seeds of the simulated world, checked against its truth
    gra.eval.suite.known.source             training splits of GSM8K, ARC and MBPP, scored by the evaluation's rules
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class AnySeed(Protocol):
    """The fields of a seed that a source can use."""

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
    """A question with a known answer.

    `response` is a right answer in the words of its source. `right(reply)` judges any other reply; it returns None if
    no rule can decide. `wrong` holds replies that the source knows to be wrong.
    """

    id: str
    instruction: str
    response: str
    domain: str | None
    right: Callable[[str], bool | None] = field(compare=False, repr=False)
    wrong: tuple[str, ...] = ()


Source = Callable[[dict[str, object], Sequence[AnySeed]], list[Known]]
