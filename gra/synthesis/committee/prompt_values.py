"""PURE: computes values for the prompts of a sample: topics, built-in demonstrations and what judges see. Also returns
the ids of the records from which a sample was made."""

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
    """Return the ids of the records from which a sample was made. These are the records that its prompts show as
    examples or demonstrations. The demonstrations that come with GRA do not count."""
    own = [record for record in demonstrations if record not in prompts.built_in(settings.prompts)]
    return tuple(dict.fromkeys(record.id for record in (*records, *own)))


def topics(seed: int, name: str, records: Sequence[Record]) -> tuple[str, ...]:
    """Return one keyword of each of the `records`, drawn at random. The prompt shows them as starting points for the
    keywords of a new sample. `seed`: the run's seed. `name`: the id of the proposal. The same seed and name give the
    same draw."""
    rng = stream(seed, "topics", name)
    return tuple(dict.fromkeys(rng.choice(record.keywords) for record in records))


def built_in(seed: int, step: str, name: str, settings: SynthesisSettings) -> tuple[Record, ...]:
    """Return demonstrations that come with GRA for the prompt of `step`, drawn at random. Empty if this prompt shows
    none.

    `seed`: the run's seed. `name`: the id of the sample or seed for which the prompt is. Each name gets a draw of its
    own. But if `synthesis.example_sets` is a number n, there are only n different draws, and the name decides which one
    is used.
    """
    if not prompts.has_examples(step, settings.prompts):
        return ()
    known = prompts.built_in(settings.prompts)
    drawn_for = name if settings.example_sets is None else number(seed, "set", name, bits=31) % settings.example_sets
    return tuple(stream(seed, "examples", step, drawn_for).sample(known, min(settings.demonstrations, len(known))))


def solves(domain: str, settings: SynthesisSettings) -> bool:
    """Return whether reviewers and adjudicators must answer the instruction themselves before they judge a response in
    this domain."""
    return settings.solve == "always" or (settings.solve == "checkable" and domain in CHECKABLE)


def judged(draft: Outcome, settings: SynthesisSettings) -> Mapping[str, Any]:
    """Return the values for the prompts that ask a model to judge the draft's response."""
    solve = solves(draft.domain, settings)
    return {"instruction": draft.instruction, "response": draft.response, "domain": draft.domain, "solve": solve}
