"""Makes the calls of a probe: each model answers the questions with known answers, then reviews all items with the
prompts that the synthesis will use.

The calls go through the engine and the journal, as in a run, so an answered call is never paid for twice.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gra.known import Known
from gra.synthesis.committee.calls import Exchange, Rules
from gra.synthesis.committee.protocol import respond, review
from gra.synthesis.committee.randomness import stream
from gra.synthesis.committee.records import DOMAINS, CallRecord, Outcome, Record, Review, Roles, Seed
from gra.synthesis.config import SynthesisConfig
from gra.synthesis.engine.engine import Engine
from gra.synthesis.engine.session import engine_for
from gra.synthesis.probe.gate_trust import Scores
from gra.synthesis.probe.items import UNKNOWN, Item, Pair, by_rule, choose_known, on_policy
from gra.synthesis.probe.settings import ProbeSettings
from gra.synthesis.progress.state import State
from gra.synthesis.progress.terminal import Progress
from gra.synthesis.scoring.examples import Shelf, shelf_for
from gra.synthesis.seed_annotation import first_questions
from gra.synthesis.settings import SynthesisSettings

ASIDE = 0.25  # of the seeds with answers, the share that is reserved for the reviewers' examples


@dataclass
class Findings:
    """The results of a probe's calls. `judged`: for each model and each item's id, the scores by dimension, or None if
    the verdict is unusable. `unanswered`: for each model, how many of its answers to known questions are unusable.
    `traffic`: the number of calls, and the time that was spent waiting for them. Both cover this process only, not an
    earlier one that was interrupted."""

    items: list[Item]
    judged: dict[str, dict[str, Scores | None]]
    unanswered: dict[str, int]
    simulated: bool
    calls: list[CallRecord] = field(default_factory=list)
    traffic: dict[str, float] = field(default_factory=dict)


async def ask(
    config: SynthesisConfig,
    probe: ProbeSettings,
    seeds: Sequence[Seed],
    known: Sequence[Known],
    output: Path,
) -> Findings:
    """Make the calls of the probe and return their results. `known`: the questions with known answers. Raises
    ServerError, StoreError or Interrupted if the probe cannot continue."""
    pool, seed, settings = config.pool, config.seed, config.synthesis
    rules = Rules(seed, _answering(settings, probe), pool.served, thoughts=pool.strip_think)
    async with engine_for(config, output) as (engine, backend):
        models = list(backend.models)
        first = await first_questions(engine, rules, models, all_judge=True)
        shelf, seeds, known = set_aside(seeds, known, settings, seed)
        count, questions = probe.sizes(len(models), len(known))
        chosen = choose_known(known, questions, seed)
        with Progress(State(engine.traffic, 1), output) as progress:
            answers, unanswered, calls = await _answer(engine, chosen, models, rules, progress)
            # In a thread: grading rules can run programs, which would block the event loop.
            labelled = await asyncio.to_thread(lambda: [on_policy(*answer) for answer in answers])
            items = [item for item in labelled if item is not None]
            items += await asyncio.to_thread(by_rule, pairs_of(seeds, known), count, seed, probe.kinds)
            judged, more = await _review(engine, items, models, rules, shelf, progress)
        traffic = engine.traffic
    counts = {
        "asked": float(traffic.requested),
        "replayed": float(traffic.replayed),
        "waited": round(traffic.seconds, 3),
    }
    return Findings(items, judged, unanswered, backend.simulated, [*first, *calls, *more], counts)


def set_aside(
    seeds: Sequence[Seed], known: Sequence[Known], settings: SynthesisSettings, seed: int
) -> tuple[Shelf, list[Seed], list[Known]]:
    """Take some seeds as examples for the reviewers' prompts. Return these examples, the other seeds, and the questions
    of `known` that are not among the examples. The probe's items are made from the other seeds and the returned
    questions.

    With synthesis.scoring=probability, about a quarter of the seeds with answers become examples. The seeds' ids
    determine which seeds these are. With any other scoring, or with synthesis.questions=likelihood, reviews show no
    examples, so no seed is taken.
    """
    if settings.scoring != "probability" or settings.questions == "likelihood":
        return shelf_for(settings, seed, ()), list(seeds), list(known)
    spare = [one for one in seeds if one.response and stream(seed, "probe examples", one.id).random() < ASIDE]
    records = [Record(one.id, one.instruction, one.response, _domain(one.domain), (), "") for one in spare]
    texts = {one.instruction for one in spare}
    rest = [one for one in seeds if one.instruction not in texts]
    return shelf_for(settings, seed, records), rest, [one for one in known if one.instruction not in texts]


def pairs_of(seeds: Sequence[Seed], known: Sequence[Known]) -> list[Pair]:
    """Return the questions whose right answers the probe uses, both unchanged and altered by a rule into wrong answers.
    They are the seeds with a response, and the questions with known answers (`known`)."""
    found = {
        seed.id: Pair(seed.id, seed.instruction, seed.response, seed.domain or UNKNOWN)
        for seed in seeds
        if seed.response
    }
    found |= {one.id: Pair(one.id, one.instruction, one.response, one.domain or UNKNOWN, one) for one in known}
    return list(found.values())


async def _answer(
    engine: Engine, known: Sequence[Known], models: Sequence[str], rules: Rules, progress: Progress
) -> tuple[list[tuple[Known, str, str]], dict[str, int], list[CallRecord]]:
    """Ask every model every question. Return the usable answers as (question, model, answer), the number of unusable
    answers of each model, and the calls."""
    due = [(one, model) for one in known for model in models]
    progress.stage("probe: answers to known questions", len(due))
    answers: list[tuple[Known, str, str]] = []
    unanswered: Counter[str] = Counter()
    calls: list[CallRecord] = []

    def exchanges() -> Iterator[Exchange[tuple[str | None, tuple[CallRecord, ...]]]]:
        for one, model in due:
            draft = _draft(
                f"probe/{one.id}/{model}", one.domain or UNKNOWN, Roles(model, (), None, model), one.instruction
            )
            yield respond(draft, rules)

    order = iter(due)
    async for text, made in engine.stream(exchanges()):
        one, model = next(order)
        progress.advance(None)
        progress.heard(made)
        calls += made
        if text is None:
            unanswered[model] += 1
        else:
            answers.append((one, model, text))
    return answers, dict(unanswered), calls


async def _review(
    engine: Engine, items: Sequence[Item], models: Sequence[str], rules: Rules, shelf: Shelf, progress: Progress
) -> tuple[dict[str, dict[str, Scores | None]], list[CallRecord]]:
    progress.stage("probe: reviews", len(items))
    judged: dict[str, dict[str, Scores | None]] = {model: {} for model in models}
    calls: list[CallRecord] = []

    def exchanges() -> Iterator[Exchange[tuple[tuple[Review, ...], tuple[CallRecord, ...]]]]:
        for item in items:
            roles = Roles(item.author or "", tuple(models), None, models[0])
            draft = _draft(f"probe/{item.id}", item.domain, roles, item.instruction, item.response)
            yield review(draft, rules, shelf.examples(0, draft.domain))

    order = iter(items)
    async for reviews, made in engine.stream(exchanges()):
        item = next(order)
        progress.advance(None)
        progress.heard(made)
        calls += made
        for one in reviews:
            judged[one.model][item.id] = one.scores
    return judged, calls


def _draft(name: str, domain: str, roles: Roles, instruction: str, response: str = "") -> Outcome:
    """Return a sample that still needs its response or, if `response` is given, its reviews."""
    return Outcome(name, 0, 0, _domain(domain), roles, (), "rejected", instruction=instruction, response=response)


def _domain(name: str | None) -> str:
    return name if name in DOMAINS else "question answering"


def _answering(settings: SynthesisSettings, probe: ProbeSettings) -> SynthesisSettings:
    """Return the run's settings, with the probe's limit on the length of answers."""
    respond_as = settings.decoding.respond
    shorter = respond_as.model_copy(update={"max_tokens": min(respond_as.max_tokens, probe.max_tokens)})
    decoding = settings.decoding.model_copy(update={"respond": shorter})
    return settings.model_copy(update={"decoding": decoding, "long_answers": 1})
