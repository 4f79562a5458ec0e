"""The config group `probe`: how much a probe asks, and where its questions with known answers come from; conf/probe/*.yaml."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, field_validator

from gra.errors import ConfigError, Problem
from gra.known import Known, Source
from gra.settings import Settings
from gra.synthesis.committee.probe_items import WRONG
from gra.synthesis.records import Seed
from gra.synthesis.settings import SynthesisSettings

Mode = Literal["warn", "refuse", "off"]


class ProbeSettings(Settings):
    """Settings of a probe."""

    calls: int = Field(200, ge=20, description="Calls of each model, about.")
    made_by_rule: float = Field(0.4, ge=0, le=1, description="Share of them that reviews answers made by rule.")
    kinds: list[str] = Field(list(WRONG), min_length=1, description=f"Wrong answers made by rule: {', '.join(WRONG)}.")
    max_tokens: int = Field(512, ge=1, description="Of an answer; one that is cut off is asked again, and then left out.")
    sources: list[dict[str, Any]] = Field(
        [{"_target_": "gra.synthesis.committee.exact.source"}], description="Sources of questions with known answers."
    )

    @field_validator("kinds")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        unknown = [kind for kind in value if kind not in WRONG]
        if unknown:
            raise ValueError(f"no wrong answers of the kind {', '.join(unknown)}; there are: {', '.join(WRONG)}")
        return value

    def sizes(self, models: int, known: int) -> tuple[int, int]:
        """Pairs of a right and a wrong answer made by rule, and known questions that each model answers.

        A model answers each question once, and reviews what all of them answered.
        """
        ruled = round(self.calls * self.made_by_rule / 2)
        questions = min(known, int((self.calls - 2 * ruled) / (models + 1)))
        return max(ruled, (self.calls - questions * (models + 1)) // 2), questions


def mode(settings: SynthesisSettings, pool: Mapping[str, Any]) -> Mode:
    """`synthesis.probe`, or what it is where it is not set: warn, of simulated pools off."""
    return settings.probe or ("off" if pool.get("simulated") else "warn")


def load_sources(settings: ProbeSettings, seeds: Sequence[Seed]) -> list[Known]:
    """The questions of all sources, each id once. Raises ConfigError where a source cannot be used."""
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
    """The function that a source's `_target_` names. Raises ConfigError where there is none."""
    key, name = f"probe.sources.{place}._target_", str(spec.get("_target_") or "")
    module, _, function = name.rpartition(".")
    try:
        target: Source = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        remedy = "give the dotted path of a function, e.g. eval.known.source (gra/known.py lists those there are)"
        raise ConfigError([Problem(key, f"`{name}` cannot be imported: {error}", remedy)]) from error
    return target
