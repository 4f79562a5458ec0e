"""The round loop (paper, iteration loop): annotate the seeds, then propose -> review -> dedup -> annotate -> enlarge the pool.

Which proposals belong to a round is a function of their outcomes, not of time: the round is the shortest run of proposals
0..n-1 that yields its samples, so concurrency, restarts and slow replies cannot change it. Proposals that were started
beyond n are forgotten.
"""

from __future__ import annotations

import logging
import math
import sys
from bisect import insort
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

from gra.synthesis import prompts
from gra.synthesis.committee import health
from gra.synthesis.committee.domains import DomainPool, by_domain, fits, tell_thin
from gra.synthesis.committee.drawing import draw_proposal
from gra.synthesis.committee.examples import shelf_for
from gra.synthesis.committee.pace import Pace
from gra.synthesis.engine import Engine
from gra.synthesis.protocol import Ask, Protocol, Rules, annotate, annotate_seed, gives_probabilities, propose
from gra.synthesis.randomness import stream
from gra.synthesis.records import CallRecord, Outcome, Record, Seed
from gra.synthesis.roles import judges
from gra.synthesis.settings import SynthesisSettings
from gra.synthesis.spool import Spool
from gra.synthesis.target import Unique
from gra.wellformed import printable

log = logging.getLogger("gra.synthesis")

AHEAD = 8  # samples that wait to be annotated ahead of time, as a multiple of the concurrency
FIRST_LOOK = 50  # reviewed samples at which the committee's health is first told of; then at twice as many, and after each round
FRESH = 64  # accepted texts that are sent to be embedded together, while the round goes on


class Dedup(Interface):
    """The target pool: see `target.Target`; all but `unique` may return before they are carried out."""

    def prepare(self, texts: Sequence[str]) -> None: ...
    def base(self, ids: Sequence[str], texts: Sequence[str]) -> None: ...
    def add(self, texts: Sequence[str]) -> None: ...
    def commit(self, chosen: Sequence[int], ids: Sequence[str]) -> None: ...
    async def unique(self, scores: Sequence[float | None]) -> Unique: ...


class Listener(Interface):
    """Told what happens, for progress alone. The name of a round's stages begins with `round N`; `deduplicated` tells how
    many of the round's accepted samples are distinct and how many are not; `heard` tells the calls made for a seed."""

    def stage(self, name: str, total: int | None) -> None: ...
    def advance(self, outcome: Outcome | None) -> None: ...
    def heard(self, calls: Sequence[CallRecord]) -> None: ...
    def deduplicated(self, distinct: int, duplicates: int) -> None: ...


@dataclass
class SeedAccount:
    """What became of the seeds: those in the pool, those that no model could annotate with the reason, the calls made."""

    records: list[Record] = field(default_factory=list)
    failed: list[tuple[Seed, str]] = field(default_factory=list)
    calls: list[CallRecord] = field(default_factory=list)


@dataclass
class Synthesis:
    """The whole result; `kept` and `rejected` are on disk, ordered by round, then index, each rejected one with its reason."""

    seeds: SeedAccount
    kept: Spool
    rejected: Spool
    short: list[int] = field(default_factory=list)  # rounds that ran out of proposals before they had their samples
    blind: list[str] = field(default_factory=list)  # why the run was ended by `stop_when_blind`; [] where it was not
    thin: list[dict[str, Any]] = field(default_factory=list)  # by round: domains that borrowed records, and how many

    def remove(self) -> None:
        """Delete the files of `kept` and `rejected`."""
        self.kept.remove()
        self.rejected.remove()


class Committee:
    """Runs rounds for one set of rules. Results depend on seeds, rules, models and their replies alone.

    `folder`: where outcomes are kept while the rounds run. `screen`: a last look at an accepted sample before it counts, which
    returns the reason and detail to drop it, or None. `state`: takes in how the reviewers do, so that others can look at it.
    """

    def __init__(
        self,
        engine: Engine,
        dedup: Dedup,
        rules: Rules,
        models: Sequence[str],
        listener: Listener,
        folder: Path,
        screen: Callable[[Outcome], Awaitable[tuple[str, str] | None]] | None = None,
        state: health.Health | None = None,
    ):
        self._engine, self._dedup, self._rules = engine, dedup, rules
        self._models, self._listener = list(models), listener
        self._folder, self._screen = folder, screen
        self._settings = rules.settings
        self._health, self._told, self._look_at = state or health.Health(), set[str](), FIRST_LOOK
        self._shelf = shelf_for(rules.settings, rules.seed, [])

    async def run(self, seeds: Sequence[Seed]) -> Synthesis:
        """Annotate the seeds and run all rounds. Stops after a round that kept nothing: the next could do no better."""
        if self._settings.dedup.against_seeds:  # while they are annotated
            self._dedup.prepare([_text_of(self._settings, seed.instruction, seed.response) for seed in seeds])
        account = await self._annotate_seeds(seeds)
        result = Synthesis(account, Spool(self._folder / "kept"), Spool(self._folder / "rejected"))
        self._shelf = shelf_for(self._settings, self._rules.seed, account.records)
        pool = [self._member(record) for record in account.records]
        if self._settings.dedup.against_seeds and account.records:
            texts = [_text_of(self._settings, r.instruction, r.response) for r in account.records]
            self._dedup.base([r.id for r in account.records], texts)
        account.records = pool
        for number in range(1, self._settings.rounds + 1):
            domains = by_domain(pool, self._settings.shots, self._settings.thin_domain, self._settings.taken)
            if not domains:
                break
            result.thin += [{"round": number, **entry} for entry in tell_thin(pool, domains, result.thin)]
            before = len(result.kept)
            pool = pool + await self._round(number, domains, result)
            self._warn()
            if self._is_blind():
                result.blind = self._health.account()["warnings"]
                break
            if len(result.kept) - before < self._settings.samples_per_round:
                result.short.append(number)
            if len(result.kept) == before:
                break
        return result

    async def _annotate_seeds(self, seeds: Sequence[Seed]) -> SeedAccount:
        self._listener.stage("annotate seeds", len(seeds))
        account = SeedAccount(calls=await first_questions(self._engine, self._rules, judges(self._models, self._settings)))
        self._listener.heard(account.calls)
        async for seed, record, fault, calls in annotate_seeds(self._engine, seeds, self._rules, self._models):
            self._listener.advance(None)
            self._listener.heard(calls)
            account.calls += calls
            if record is None:
                account.failed.append((seed, fault))
            else:
                account.records.append(record)
        return account

    async def _round(self, number: int, domains: Mapping[str, DomainPool], result: Synthesis) -> list[Record]:
        """One round: adds its samples and its drops to `result`, and returns what the pool gains."""
        outcomes = Spool(self._folder / f"round-{number}")
        try:
            accepted, unique = await self._propose(number, domains, outcomes)
            chosen = sorted(unique.kept[: self._settings.samples_per_round])  # best first: what is over has the lowest scores
            fate = {accepted[i]: ("surplus", "") for i in unique.kept[self._settings.samples_per_round :]}
            for i, (near, cosine) in unique.dropped.items():
                fate[accepted[i]] = ("duplicate", f"of {accepted[near] if isinstance(near, int) else near}, cosine {cosine:.4f}")
            for outcome in outcomes:
                if outcome.id in fate:
                    reason, detail = fate[outcome.id]
                    outcome = replace(outcome, status="rejected", reason=reason, detail=detail)
                if outcome.status == "rejected":
                    result.rejected.add(outcome)
            self._listener.stage(f"round {number}: annotate", len(chosen))
            records = await self._annotate({accepted[i] for i in chosen}, outcomes, result.kept)
        finally:
            await self._engine.settle()
            outcomes.remove()
        self._dedup.commit(chosen, [accepted[i] for i in chosen])
        return records

    async def _propose(self, number: int, domains: Mapping[str, DomainPool], outcomes: Spool) -> tuple[list[str], Unique]:
        """Proposals until the round has its samples, all into `outcomes`. Returns the accepted ones' ids, in order, and which of
        them (by number) are unique."""
        settings, wanted = self._settings, self._settings.samples_per_round
        self._listener.stage(f"round {number}", wanted)
        accepted: list[str] = []
        scores: list[float | None] = []
        fresh: list[str] = []  # texts on their way to the target pool
        need = wanted  # accepted samples at which to look whether enough remain after dedup
        unique = Unique([], {})
        pace = Pace(wanted, settings.proposal_limit, settings.max_proposals is not None)
        ahead = Ahead(self._rules, AHEAD * self._engine.concurrency)
        proposals = self._proposals(number, domains)
        talks = self._engine.stream(proposals, lambda n: allowance(n, len(accepted), need), ahead.next)
        async with aclosing(talks):
            async for outcome in talks:
                outcome = await self._screened(outcome)
                outcomes.add(outcome)
                self._health.add(outcome)
                if self._health.reviewed >= self._look_at:  # not only at the end of a round, which may take hours
                    self._look_at *= 2
                    self._warn()
                self._listener.advance(outcome)
                if outcome.status == "accepted":
                    accepted.append(outcome.id)
                    scores.append(outcome.mean)
                    fresh.append(_text_of(settings, outcome.instruction, outcome.response))
                    ahead.add(outcome)
                last = len(outcomes) == settings.proposal_limit or self._is_blind()
                look = pace.due(len(outcomes))
                if len(fresh) >= FRESH or (fresh and (len(accepted) >= need or last or look)):
                    self._dedup.add(fresh)
                    fresh = []
                if len(accepted) >= need or ((last or look) and accepted):
                    unique = await self._dedup.unique(scores)
                    self._listener.deduplicated(len(unique.kept), len(unique.dropped))
                    if len(unique.kept) >= wanted:
                        break
                    need = len(accepted) + wanted - len(unique.kept)
                if last or (look and pace.ends(len(outcomes), len(unique.kept))):
                    break
        return accepted, unique

    def _is_blind(self) -> bool:
        """Whether to end here: `stop_when_blind` samples were reviewed and the reviews tell nothing apart. Outcomes come in
        the order of their proposals, so this is the same whatever the concurrency."""
        limit = self._settings.stop_when_blind
        return limit is not None and self._health.reviewed >= limit and health.blind(self._health.account())

    def _warn(self) -> None:
        """Say what is wrong with the committee, each thing once a run."""
        for kind, text in health.faults(self._health.account()):
            if kind not in self._told:
                self._told.add(kind)
                log.warning("COMMITTEE: %s", printable(text))

    async def _screened(self, outcome: Outcome) -> Outcome:
        found = await self._screen(outcome) if self._screen is not None and outcome.status == "accepted" else None
        return outcome if found is None else replace(outcome, status="rejected", reason=found[0], detail=found[1])

    def _proposals(self, number: int, domains: Mapping[str, DomainPool]) -> Iterator[Protocol]:
        for index in range(self._settings.proposal_limit):
            proposal = draw_proposal(self._rules.seed, number, index, domains, self._models, self._settings)
            examples = self._shelf.examples(number, proposal.domain)
            yield propose(replace(proposal, examples=examples), self._rules)

    async def _annotate(self, ids: Collection[str], outcomes: Spool, kept: Spool) -> list[Record]:
        """Give the samples of these ids their summaries, and put them into `kept`. Returns those that got one as records."""
        talks = (annotate(outcome, self._rules) for outcome in outcomes if outcome.id in ids)
        records = []
        async for outcome in self._engine.stream(talks):
            self._listener.advance(None)
            kept.add(outcome)
            if outcome.summary is not None:
                records.append(self._member(as_record(outcome)))
        return records

    def _member(self, record: Record) -> Record:
        """The record as the pool keeps it: without texts that no prompt shows, so that memory holds the whole pool."""
        shared = sys.intern(record.domain)  # one text a domain, not one a record
        if self._settings.show == "full":
            return replace(record, domain=shared)
        shows = prompts.demonstrates(self._settings.prompts) and fits(record.instruction)
        return replace(record, domain=shared, instruction=record.instruction if shows else "", response="")


class Ahead:
    """Samples whose annotation can be asked for while the round's last proposals leave slots idle: of those accepted so far the
    `most` with the best scores, since these are the last to be dropped as duplicates or surplus."""

    def __init__(self, rules: Rules, most: int):
        self._rules, self._most = rules, most
        self._best: list[tuple[float, int, Outcome]] = []  # ascending

    def add(self, outcome: Outcome) -> None:
        """One more accepted sample."""
        score = outcome.mean if outcome.mean is not None else -math.inf
        insort(self._best, (score, -outcome.index, outcome))
        del self._best[: -self._most]

    def next(self) -> Ask | None:
        """The annotation to ask for next, each once; None: no sample waits."""
        if not self._best:
            return None
        (ask,) = next(annotate(self._best.pop()[-1], self._rules))
        return ask


async def first_questions(engine: Engine, rules: Rules, models: Sequence[str]) -> list[CallRecord]:
    """Make sure that `models`, which will judge, give probabilities where they are to judge by them; the calls made. Raises
    ServerError."""
    asked = models if rules.settings.scoring == "probability" else ()
    return [call async for calls in engine.stream(gives_probabilities(model, rules) for model in asked) for call in calls]


async def annotate_seeds(
    engine: Engine, seeds: Sequence[Seed], rules: Rules, models: Sequence[str]
) -> AsyncIterator[tuple[Seed, Record | None, str, tuple[CallRecord, ...]]]:
    """Each seed, in order, with its record or None and the fault, and the calls made. The annotator is drawn by the seed's id."""
    settings = rules.settings
    writers = list(models) if settings.roles == "random" else [models[0]]
    if settings.roles == "single" and settings.single_model:
        writers = [settings.single_model]
    talks = (annotate_seed(s, stream(rules.seed, "annotator", s.id).choice(writers), rules) for s in seeds)
    order = iter(seeds)
    async for record, fault, calls in engine.stream(talks):
        yield next(order), record, fault or "", calls


def allowance(finished: int, accepted: int, need: int) -> int:
    """How many proposals may have been started: those finished in order, and as many as the missing samples should take,
    with two standard deviations to spare. Decides how much may be started in vain, never what the round holds."""
    rate = (accepted + 1) / (finished + 2)
    missing = max(need - accepted, 1)
    return finished + math.ceil((missing + 2 * math.sqrt(missing * (1 - rate))) / rate)


def as_record(outcome: Outcome) -> Record:
    """A kept and annotated sample as a member of the pool."""
    assert outcome.summary is not None
    return Record(outcome.id, outcome.instruction, outcome.response, outcome.domain, outcome.keywords, outcome.summary)


def _text_of(settings: SynthesisSettings, instruction: str, response: str) -> str:
    texts = {"instruction": instruction, "response": response, "both": f"{instruction}\n\n{response}"}
    return texts[settings.dedup.text]
