"""Runs the rounds of a synthesis (the paper's iteration loop). First the seeds are annotated; then each round makes
proposals, reviews them, drops near-duplicates, annotates the kept samples and adds them to the pool.

A round consists of the proposals 0 to n-1, where n is the smallest number of proposals that yields enough samples. The
number n depends only on the outcomes of the proposals, not on the times at which they end. So concurrency, restarts and
slow replies cannot change a round. Proposals after n-1 that were already started are discarded.
"""

from __future__ import annotations

import math
import sys
from bisect import insort
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

from gra.synthesis import prompts
from gra.synthesis.committee import health
from gra.synthesis.committee.calls import Call, Protocol, Rules
from gra.synthesis.committee.domains import DomainPool, by_domain, fits, report_thin
from gra.synthesis.committee.drawing import draw_proposal
from gra.synthesis.committee.protocol import annotate, propose
from gra.synthesis.committee.records import CallRecord, Outcome, Record, Seed
from gra.synthesis.committee.stopping import Pace
from gra.synthesis.committee_warnings import Watch
from gra.synthesis.dedup.pool import Unique
from gra.synthesis.engine.driver import Driver
from gra.synthesis.engine.spool import Spool
from gra.synthesis.scoring.examples import shelf_for
from gra.synthesis.seed_annotation import annotate_seeds, first_questions
from gra.synthesis.settings import SynthesisSettings

AHEAD = 8  # maximum number of samples that wait for early annotation, as a multiple of the concurrency
USUAL, WEIGHT = (
    0.8,
    8,
)  # USUAL: share of proposals that a first round is expected to accept; it weighs as much as WEIGHT real proposals
FRESH = 64  # accepted texts that are sent to the target pool together while the round runs


class Dedup(Interface):
    """The interface through which the round loop uses the deduplication (gra/synthesis/dedup/pool.py). The caller waits
    only for the method `unique`, which returns a result. The other methods may return before their work is done."""

    def prepare(self, texts: Sequence[str]) -> None: ...
    def base(self, ids: Sequence[str], texts: Sequence[str]) -> None: ...
    def add(self, texts: Sequence[str]) -> None: ...
    def commit(self, chosen: Sequence[int], ids: Sequence[str]) -> None: ...
    async def unique(self, scores: Sequence[float | None]) -> Unique: ...


class Listener(Interface):
    """The interface through which the round loop reports progress. `stage` is called when a stage begins. The stages of
    a round have names that begin with `round N`. `advance` is called when an item of the stage is finished. `heard`
    receives the records of model calls that belong to no proposal, for example those that annotate a seed.
    `deduplicated` receives two counts for the round's accepted samples: how many are distinct and how many are
    duplicates."""

    def stage(self, name: str, total: int | None) -> None: ...
    def advance(self, outcome: Outcome | None) -> None: ...
    def heard(self, calls: Sequence[CallRecord]) -> None: ...
    def deduplicated(self, distinct: int, duplicates: int) -> None: ...


@dataclass
class SeedAccount:
    """The result of annotating the seeds. `records`: the annotated seeds. They are the first records of the pool from
    which prompts take examples. `failed`: the seeds that could not be annotated, each with the reason. `calls`: the
    calls that were made before the first round."""

    records: list[Record] = field(default_factory=list)
    failed: list[tuple[Seed, str]] = field(default_factory=list)
    calls: list[CallRecord] = field(default_factory=list)


@dataclass
class Synthesis:
    """The result of a run. `kept` and `rejected` are the outcomes of the proposals, in files on disk, in the order of
    round and index. Each rejected outcome has a reason."""

    seeds: SeedAccount
    kept: Spool
    rejected: Spool
    short: list[int] = field(default_factory=list)  # rounds that ended before they had their samples
    blind: list[str] = field(default_factory=list)  # why `stop_when_blind` ended the run; [] if it did not
    thin: list[dict[str, Any]] = field(default_factory=list)  # by round, the thin domains (domains.report_thin)

    def remove(self) -> None:
        """Delete the files of `kept` and `rejected`."""
        self.kept.remove()
        self.rejected.remove()


class Committee:
    """Runs the rounds of a synthesis under one set of rules. The results depend only on the seeds, the rules, the
    models and the replies.

    `folder`: where outcomes are stored during the run. `sample_filter`: a function that is called with each accepted
    sample. It returns None to keep the sample, or (reason, detail) to drop it. `state`: the object that collects the
    statistics of the reviewers. To read these statistics during the run, pass your own object.
    """

    def __init__(
        self,
        engine: Driver,
        dedup: Dedup,
        rules: Rules,
        models: Sequence[str],
        listener: Listener,
        folder: Path,
        sample_filter: Callable[[Outcome], Awaitable[tuple[str, str] | None]] | None = None,
        state: health.Health | None = None,
    ):
        self._engine, self._dedup, self._rules, self._settings = engine, dedup, rules, rules.settings
        self._models, self._listener, self._folder, self._filter = list(models), listener, folder, sample_filter
        self._watch = Watch(rules.settings, state)
        self._shelf = shelf_for(rules.settings, rules.seed, [])
        self._rate = USUAL  # share of the proposals that the last round accepted
        self._paced_out = False  # whether the last round ended because its pace could not fill it

    async def run(self, seeds: Sequence[Seed]) -> Synthesis:
        """Annotate the seeds and run all rounds. The run ends early after a round that kept no sample, because a
        further round would not do better. It also ends early if the reviews carry no information and
        `synthesis.stop_when_blind` is set."""
        if self._settings.dedup.against_seeds:  # so that the seeds are embedded while they are annotated
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
            result.thin += [{"round": number, **entry} for entry in report_thin(pool, domains, result.thin)]
            before = len(result.kept)
            pool = pool + await self._round(number, domains, result)
            self._watch.report()
            if self._watch.is_blind():
                result.blind = self._watch.warnings
                break
            if len(result.kept) - before < self._settings.samples_per_round:
                result.short.append(number)
            if len(result.kept) == before:
                break
        return result

    async def _annotate_seeds(self, seeds: Sequence[Seed]) -> SeedAccount:
        self._listener.stage("annotate seeds", len(seeds))
        account = SeedAccount(calls=await first_questions(self._engine, self._rules, self._models))
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
        """Run one round and add its kept and rejected samples to `result`. Return the new records of the pool."""
        outcomes = Spool(self._folder / f"round-{number}")
        try:
            accepted, unique = await self._propose(number, domains, outcomes)
            # `unique.kept` begins with the best scores, so the surplus has the lowest
            chosen = sorted(unique.kept[: self._settings.samples_per_round])
            fate = {accepted[i]: ("surplus", "") for i in unique.kept[self._settings.samples_per_round :]}
            for i, (near, cosine) in unique.dropped.items():
                fate[accepted[i]] = (
                    "duplicate",
                    f"of {accepted[near] if isinstance(near, int) else near}, cosine {cosine:.4f}",
                )
            for outcome in outcomes:
                outcome = dropped(outcome, *fate[outcome.id]) if outcome.id in fate else outcome
                if outcome.status == "rejected":
                    result.rejected.add(outcome)
            self._listener.stage(f"round {number}: annotate", len(chosen))
            records = await self._annotate({accepted[i] for i in chosen}, outcomes, result.kept)
        finally:
            await self._engine.settle()
            outcomes.remove()
        self._dedup.commit(chosen, [accepted[i] for i in chosen])
        return records

    async def _propose(
        self, number: int, domains: Mapping[str, DomainPool], outcomes: Spool
    ) -> tuple[list[str], Unique]:
        """Propose into `outcomes` until the round has its samples. Return the accepted ids, in order, and which of them are
        unique."""
        settings, wanted = self._settings, self._settings.samples_per_round
        self._listener.stage(f"round {number}", wanted)
        accepted: list[str] = []
        scores: list[float | None] = []
        fresh: list[str] = []  # texts not yet sent to the target pool
        need = wanted  # the next search for duplicates is at this number of accepted samples
        unique = Unique([], {})
        usual = self._rate  # share of the proposals that earlier rounds accepted
        pace = Pace(wanted, settings.proposal_limit, settings.max_proposals is not None)
        ahead = Ahead(self._rules, AHEAD * self._engine.concurrency)
        proposals = self._proposals(number, domains)
        exchanges = self._engine.stream(proposals, lambda n: allowance(n, len(accepted), need, usual), ahead.next)
        async with aclosing(exchanges):
            async for outcome in exchanges:
                outcome = await self._filtered(outcome)
                outcomes.add(outcome)
                self._watch.add(outcome)
                self._listener.advance(outcome)
                if outcome.status == "accepted":
                    accepted.append(outcome.id)
                    scores.append(outcome.mean)
                    fresh.append(_text_of(settings, outcome.instruction, outcome.response))
                    ahead.add(outcome)
                last = len(outcomes) == self._limit(number) or self._watch.is_blind()
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
                self._paced_out = look and pace.ends(len(outcomes), len(unique.kept))
                if last or self._paced_out:
                    break
        self._rate = (len(accepted) + USUAL) / (len(outcomes) + 1)
        return accepted, unique

    def _limit(self, number: int) -> int:  # noqa: ARG002 - a recorded run has one for each round (regating)
        """Return the maximum number of proposals of a round."""
        return self._settings.proposal_limit

    async def _filtered(self, outcome: Outcome) -> Outcome:
        found = await self._filter(outcome) if self._filter is not None and outcome.status == "accepted" else None
        return outcome if found is None else dropped(outcome, *found)

    def _proposals(self, number: int, domains: Mapping[str, DomainPool]) -> Iterator[Protocol]:
        for index in range(self._limit(number)):
            proposal = draw_proposal(self._rules.seed, number, index, domains, self._models, self._settings)
            examples = self._shelf.examples(number, proposal.domain)
            yield propose(replace(proposal, examples=examples), self._rules)

    async def _annotate(self, ids: Collection[str], outcomes: Spool, kept: Spool) -> list[Record]:
        """Annotate the samples with these ids and add them to `kept`. Return the samples that got a summary, as
        records."""
        exchanges = (self._annotation(outcome) for outcome in outcomes if outcome.id in ids)
        records = []
        async for outcome in self._engine.stream(exchanges):
            self._listener.advance(None)
            kept.add(outcome)
            if outcome.summary is not None:
                records.append(self._member(as_record(outcome)))
        return records

    def _annotation(self, outcome: Outcome) -> Protocol:
        return annotate(outcome, self._rules)

    def _member(self, record: Record) -> Record:
        """Return the record as the pool keeps it. Texts that no prompt shows are removed, to save memory."""
        shared = sys.intern(record.domain)  # one string per domain, not per record
        if self._settings.show == "full":
            return replace(record, domain=shared)
        shows = prompts.demonstrates(self._settings.prompts) and fits(record.instruction)
        return replace(record, domain=shared, instruction=record.instruction if shows else "", response="")


class Ahead:
    """A queue of accepted samples that can be annotated while their round is still running. Towards the end of a round,
    fewer calls are in flight than allowed, so there is room for annotation calls. `most`: the maximum number of samples
    in the queue. Only the samples with the best scores stay in it, because they are least likely to be dropped as
    duplicates or surplus."""

    def __init__(self, rules: Rules, most: int):
        self._rules, self._most = rules, most
        self._best: list[tuple[float, int, Outcome]] = []  # sorted by score, best last

    def add(self, outcome: Outcome) -> None:
        """Let an accepted sample wait. If too many wait, the one with the lowest score is removed."""
        score = outcome.mean if outcome.mean is not None else -math.inf
        insort(self._best, (score, -outcome.index, outcome))
        del self._best[: -self._most]

    def next(self) -> Call | None:
        """Remove the waiting sample with the best score and return its annotation call. Return None if no sample
        waits."""
        if not self._best:
            return None
        (call,) = next(annotate(self._best.pop()[-1], self._rules))
        return call


def allowance(finished: int, accepted: int, need: int, usual: float = USUAL) -> int:
    """Return how many proposals of the round may be started in total. This is the number of finished proposals plus the
    number that should yield the missing samples, with a margin of one standard deviation. The result affects only how
    many calls are wasted, never what the round contains.

    `finished`: how many proposals are finished. `accepted`: how many of the finished proposals were accepted. `need`:
    how many accepted proposals the round needs. `usual`: the acceptance rate of the previous round. The acceptance rate
    of this round is estimated from its finished proposals and from `usual`, which has the weight of WEIGHT finished
    proposals.
    """
    rate, missing = (accepted + WEIGHT * usual) / (finished + WEIGHT), max(need - accepted, 1)
    return finished + math.ceil((missing + math.sqrt(missing * (1 - rate))) / rate)


def as_record(outcome: Outcome) -> Record:
    """Return a kept and annotated sample as a record of the pool."""
    assert outcome.summary is not None
    return Record(outcome.id, outcome.instruction, outcome.response, outcome.domain, outcome.keywords, outcome.summary)


def dropped(outcome: Outcome, reason: str, detail: str) -> Outcome:
    """Return the accepted sample `outcome` as a rejected one, with the reason and detail of the rejection."""
    return replace(outcome, status="rejected", reason=reason, detail=detail)


def _text_of(settings: SynthesisSettings, instruction: str, response: str) -> str:
    return {"instruction": instruction, "response": response, "both": f"{instruction}\n\n{response}"}[
        settings.dedup.text
    ]
