"""PURE: what the committee's members are shown of a proposal or a sample, beside the texts themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gra.synthesis import prompts
from gra.synthesis.randomness import stream
from gra.synthesis.records import CHECKABLE, Outcome, Record
from gra.synthesis.settings import SynthesisSettings


def parents(records: Sequence[Record], demonstrations: Sequence[Record], settings: SynthesisSettings) -> tuple[str, ...]:
    """The ids of the pool's records among those that a proposal is shown."""
    own = [record for record in demonstrations if record not in prompts.built_in(settings.prompts)]
    return tuple(dict.fromkeys(record.id for record in (*records, *own)))


def topics(seed: int, name: str, records: Sequence[Record]) -> tuple[str, ...]:
    """One keyword of each record shown, for the new keywords of the proposal `name` to start from."""
    rng = stream(seed, "topics", name)
    return tuple(dict.fromkeys(rng.choice(record.keywords) for record in records))


def built_in(seed: int, step: str, name: str, settings: SynthesisSettings) -> tuple[Record, ...]:
    """Demonstrations for a step that is about `name` alone: of different domains, drawn for each."""
    if not prompts.has_examples(step, settings.prompts):
        return ()
    known = prompts.built_in(settings.prompts)
    return tuple(stream(seed, "examples", step, name).sample(known, min(settings.demonstrations, len(known))))


def solves(domain: str, settings: SynthesisSettings) -> bool:
    """Whether those that judge a response of the domain write their own answer first."""
    return settings.solve == "always" or (settings.solve == "checkable" and domain in CHECKABLE)


def judged(draft: Outcome, settings: SynthesisSettings) -> Mapping[str, Any]:
    """What those that judge a response are shown of the sample."""
    solve = solves(draft.domain, settings)
    return {"instruction": draft.instruction, "response": draft.response, "domain": draft.domain, "solve": solve}
