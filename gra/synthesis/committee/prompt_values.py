"""PURE: computes the values that prompts show together with a sample's texts: parents, topics, demonstrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gra.synthesis import prompts
from gra.synthesis.committee.randomness import number, stream
from gra.synthesis.committee.records import CHECKABLE, Outcome, Record
from gra.synthesis.settings import SynthesisSettings


def parents(
    records: Sequence[Record], demonstrations: Sequence[Record], settings: SynthesisSettings
) -> tuple[str, ...]:
    """Return the ids of the records that a proposal's prompts show as examples or as demonstrations, without built-in
    demonstrations."""
    own = [record for record in demonstrations if record not in prompts.built_in(settings.prompts)]
    return tuple(dict.fromkeys(record.id for record in (*records, *own)))


def topics(seed: int, name: str, records: Sequence[Record]) -> tuple[str, ...]:
    """Return one random keyword of each shown record. They are starting points for the keywords of the proposal `name`."""
    rng = stream(seed, "topics", name)
    return tuple(dict.fromkeys(rng.choice(record.keywords) for record in records))


def built_in(seed: int, step: str, name: str, settings: SynthesisSettings) -> tuple[Record, ...]:
    """Return built-in demonstrations for the prompt of `step`; () if this prompt shows none. They are drawn at random
    for each `name`. If `synthesis.example_sets` is a number n, only n different sets are drawn, and `name` decides
    which of them is used."""
    if not prompts.has_examples(step, settings.prompts):
        return ()
    known = prompts.built_in(settings.prompts)
    drawn_for = name if settings.example_sets is None else number(seed, "set", name, bits=31) % settings.example_sets
    return tuple(stream(seed, "examples", step, drawn_for).sample(known, min(settings.demonstrations, len(known))))


def solves(domain: str, settings: SynthesisSettings) -> bool:
    """Return whether the judges of a response in this domain first write their own answer."""
    return settings.solve == "always" or (settings.solve == "checkable" and domain in CHECKABLE)


def judged(draft: Outcome, settings: SynthesisSettings) -> Mapping[str, Any]:
    """Return the values for the prompts that judge the draft's response."""
    solve = solves(draft.domain, settings)
    return {"instruction": draft.instruction, "response": draft.response, "domain": draft.domain, "solve": solve}
