"""PURE: computes the values that prompts show beside a sample's texts: parents, topics, demonstrations."""

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
    """Return the ids of the pool records shown to a proposal."""
    own = [record for record in demonstrations if record not in prompts.built_in(settings.prompts)]
    return tuple(dict.fromkeys(record.id for record in (*records, *own)))


def topics(seed: int, name: str, records: Sequence[Record]) -> tuple[str, ...]:
    """Return one keyword of each record shown, as starting points for the keywords of the proposal `name`."""
    rng = stream(seed, "topics", name)
    return tuple(dict.fromkeys(rng.choice(record.keywords) for record in records))


def built_in(seed: int, step: str, name: str, settings: SynthesisSettings) -> tuple[Record, ...]:
    """Built-in demonstrations for a step about `name`, from different domains: drawn per name, or per set of `example_sets`."""
    if not prompts.has_examples(step, settings.prompts):
        return ()
    known = prompts.built_in(settings.prompts)
    drawn_for = name if settings.example_sets is None else number(seed, "set", name, bits=31) % settings.example_sets
    return tuple(stream(seed, "examples", step, drawn_for).sample(known, min(settings.demonstrations, len(known))))


def solves(domain: str, settings: SynthesisSettings) -> bool:
    """Return whether judges of a response in this domain write their own answer first."""
    return settings.solve == "always" or (settings.solve == "checkable" and domain in CHECKABLE)


def judged(draft: Outcome, settings: SynthesisSettings) -> Mapping[str, Any]:
    """Return the prompt values for judges of the response."""
    solve = solves(draft.domain, settings)
    return {"instruction": draft.instruction, "response": draft.response, "domain": draft.domain, "solve": solve}
