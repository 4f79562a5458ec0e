"""Runs the rounds of a synthesis over recorded proposals. Filter, dedup, round sizes and pool work as in a synthesis,
but other settings decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gra.synthesis.committee.calls import Exchange, Protocol
from gra.synthesis.committee.domains import DomainPool
from gra.synthesis.committee.protocol import annotate
from gra.synthesis.committee.records import Outcome, Record
from gra.synthesis.dedup.pool import Unique
from gra.synthesis.engine.spool import Spool
from gra.synthesis.regating.recording import NotRecorded, Recording
from gra.synthesis.regating.regate import UNDECIDED, regate
from gra.synthesis.rounds import Committee, Synthesis


@dataclass
class Undecided:
    """What the recorded run cannot decide for an arm. If all fields are zero, empty or False, the arm equals, byte for
    byte, a run with its settings.

    `proposals`: number of undecided proposals by reason. `annotations`: kept samples that were never annotated.
    `used_up`: rounds that end because the recorded run made no further proposal. `other_pool`: rounds in which the
    recorded proposals were drawn from another pool than the arm's. `roles`: whether a run with the arm's settings would
    draw another adjudicator.
    """

    proposals: Counter[str] = field(default_factory=Counter)
    annotations: int = 0
    used_up: list[int] = field(default_factory=list)
    other_pool: list[int] = field(default_factory=list)
    roles: bool = False

    @property
    def exact(self) -> bool:
        """Whether everything is decided."""
        return not (self.proposals or self.annotations or self.used_up or self.other_pool or self.roles)

    def account(self) -> dict[str, Any]:
        """Return the fields as JSON types, for stats.json and tables."""
        return {
            "exact": self.exact,
            "undecided": dict(sorted(self.proposals.items())),
            "annotations_missing": self.annotations,
            "rounds_used_up": self.used_up,
            "rounds_from_the_recorded_pool": self.other_pool,
            "adjudicator_of_more_reviewers": self.roles,
        }


class Arm(Committee):
    """The rounds of one arm. `undecided` says what its recording could not decide."""

    def __init__(self, *arguments: Any, recording: Recording, had_reviewers: int, **options: Any):
        super().__init__(*arguments, **options)
        self._recording = recording
        settings = self._settings
        fewer = settings.review and settings.adjudicate and settings.reviewers != had_reviewers
        self.undecided = Undecided(roles=fewer)
        self._added: list[list[Record]] = []  # for each round, the records added to the pool

    def _limit(self, number: int) -> int:
        return min(super()._limit(number), len(self._recording.proposals[number - 1]))

    def _proposals(self, number: int, domains: Mapping[str, DomainPool]) -> Iterator[Protocol]:  # noqa: ARG002
        for recorded in self._recording.proposals[number - 1]:
            outcome = regate(recorded, self._settings)
            if outcome.reason == UNDECIDED:
                self.undecided.proposals[outcome.detail] += 1
            yield _known(outcome)

    def _annotation(self, outcome: Outcome) -> Protocol:
        try:
            return (yield from annotate(outcome, self._rules))
        except NotRecorded:
            self.undecided.annotations += 1
            return outcome

    async def _propose(
        self, number: int, domains: Mapping[str, DomainPool], outcomes: Spool
    ) -> tuple[list[str], Unique]:
        accepted, unique = await super()._propose(number, domains, outcomes)
        limit = self._limit(number)
        short = len(unique.kept) < self._settings.samples_per_round
        if short and not self._paced_out and len(outcomes) == limit < super()._limit(number):
            self.undecided.used_up.append(number)
        return accepted, unique

    async def _round(self, number: int, domains: Mapping[str, DomainPool], result: Synthesis) -> list[Record]:
        before = self._recording.added[: number - 1]
        if self._added != before:
            self.undecided.other_pool.append(number)
        records = await super()._round(number, domains, result)
        self._added.append(records)
        return records


def _known(outcome: Outcome) -> Exchange[Outcome]:
    """Return an exchange that makes no calls and ends with `outcome`."""
    yield from ()
    return outcome
