"""Defines the config group `probe` (conf/probe/*.yaml): the number of calls, and the sources of questions with known
answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, field_validator

from gra.errors import ConfigError, Problem
from gra.known import Known, Source
from gra.settings import Settings
from gra.synthesis.committee.records import Seed
from gra.synthesis.probe.items import WRONG
from gra.synthesis.settings import SynthesisSettings
from gra.targets import module_of

Mode = Literal["warn", "refuse", "off"]


class ProbeSettings(Settings):
    """How many calls a probe makes, and where its questions come from."""

    calls: int = Field(200, ge=20, description="Approximate number of calls per model.")
    made_by_rule: float = Field(
        0.4,
        ge=0,
        le=1,
        description="Share of the calls in which a model reviews an answer that no model wrote: the source's right answer, or a "
        "wrong one (`probe.kinds`). In the other calls, models answer questions and review each other's answers.",
    )
    kinds: list[str] = Field(
        list(WRONG),
        min_length=1,
        description=f"Kinds of wrong answers that no model wrote: {', '.join(WRONG)}. known-wrong: an answer that the source "
        "itself lists as wrong; the others: right answers that a program changed or moved to another question.",
    )
    max_tokens: int = Field(
        512, ge=1, description="Longest answer in tokens. A truncated answer is retried, then left out."
    )
    sources: list[dict[str, Any]] = Field(
        [{"_target_": "gra.synthesis.probe.exact.source"}], description="Sources of questions with known answers."
    )

    @field_validator("kinds")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        unknown = [kind for kind in value if kind not in WRONG]
        if unknown:
            raise ValueError(f"unknown kinds: {', '.join(unknown)}; known: {', '.join(WRONG)}")
        return value

    def sizes(self, models: int, known: int) -> tuple[int, int]:
        """Return how many pairs of answers and how many known questions (questions with a known answer) the probe uses.
        A pair is a right answer and a wrong one that a rule makes from it. With these numbers, each model makes about
        as many calls as the setting `calls` says. Each model answers each known question once, and reviews the answers
        of all models.

        `models`: the number of models. `known`: how many known questions there are.
        """
        ruled = round(self.calls * self.made_by_rule / 2)
        questions = min(known, int((self.calls - 2 * ruled) / (models + 1)))
        return max(ruled, (self.calls - questions * (models + 1)) // 2), questions


def mode(settings: SynthesisSettings, *, simulated: bool) -> Mode:
    """Return the value of the setting `synthesis.probe`, or its default if it is not set. The default is "off" if the
    models of the pool are simulated, and "warn" otherwise."""
    return settings.probe or ("off" if simulated else "warn")


def load_sources(settings: ProbeSettings, seeds: Sequence[Seed]) -> list[Known]:
    """Return the questions with known answers from all sources. If several have the same id, only the first is
    returned. Raises ConfigError if a source is unusable."""
    found: dict[str, Known] = {}
    problems: list[Problem] = []
    for place, spec in enumerate(settings.sources):
        try:
            target = source_named(spec, place)
            for known in target({key: value for key, value in spec.items() if key != "_target_"}, seeds):
                found.setdefault(known.id, known)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return list(found.values())


def source_named(spec: Mapping[str, Any], place: int) -> Source:
    """Return the function whose dotted path is the value `_target_` of the source `spec`. `place`: the source's index
    in `probe.sources`, for the error message. Raises ConfigError if the function cannot be imported."""
    key, name = f"probe.sources.{place}._target_", str(spec.get("_target_") or "")
    try:
        module, function = module_of(name)
        target: Source = getattr(module, function)
    except (ImportError, AttributeError, ValueError) as error:
        remedy = "give the dotted path of a function, e.g. gra.eval.suite.known.source (gra/known.py lists the available ones)"
        raise ConfigError([Problem(key, f"`{name}` cannot be imported: {error}", remedy)]) from error
    return target
