"""Makes the first calls of a run: they check that the judges' servers return probabilities, and annotate each seed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from gra.synthesis.committee.calls import Rules
from gra.synthesis.committee.protocol import annotate_seed, gives_probabilities
from gra.synthesis.committee.randomness import stream
from gra.synthesis.committee.records import CallRecord, Record, Seed
from gra.synthesis.committee.roles import asked_yes_no, candidates, judges
from gra.synthesis.engine.driver import Driver


async def first_questions(
    engine: Driver, rules: Rules, models: Sequence[str], *, all_judge: bool = False
) -> list[CallRecord]:
    """Check that the servers of those of the pool's `models` that judge with one token return token probabilities. With
    synthesis.questions=likelihood, also check that the reviewers' servers return the likelihood of a given text. Return
    the records of the calls that the check made. If no model judges with one token, nothing is checked. `all_judge`:
    whether all models are reviewers, as in a probe. Raises ServerError if a server does not return the probabilities or
    the likelihood."""
    settings = rules.settings
    by_probability = settings.scoring == "probability"
    asked = (models if by_probability else ()) if all_judge else asked_yes_no(models, settings)
    likelihood = by_probability and settings.questions == "likelihood"
    reading = (models if all_judge else judges(models, settings)) if likelihood else ()
    asking = (gives_probabilities(model, rules, likelihood=model in reading) for model in asked)
    return [call async for calls in engine.stream(asking) for call in calls]


async def annotate_seeds(
    engine: Driver, seeds: Sequence[Seed], rules: Rules, models: Sequence[str]
) -> AsyncIterator[tuple[Seed, Record | None, str, tuple[CallRecord, ...]]]:
    """Annotate the seeds and yield (seed, annotated record, fault, calls) for each seed, in the order of the seeds. If
    a seed cannot be annotated, its record is None and `fault` says why. Otherwise `fault` is "". The seed's id decides
    which model annotates it."""
    writers = candidates(models, rules.settings).annotator
    exchanges = (annotate_seed(s, stream(rules.seed, "annotator", s.id).choice(writers), rules) for s in seeds)
    order = iter(seeds)
    async for record, fault, calls in engine.stream(exchanges):
        yield next(order), record, fault or "", calls
