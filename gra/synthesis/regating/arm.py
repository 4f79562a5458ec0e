"""Runs the rounds of a synthesis again on the proposals that a finished run recorded, with the changed settings of an
arm. Decontamination, deduplication, round sizes and the pool work as in a synthesis."""

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
    """Counts the unknown results of an arm. An arm replays a recorded run with changed settings. A result is unknown
    (undecided) if it depends on calls that a run with these settings would have made, but that the recorded run did not
    make. If all fields are zero, empty or False, nothing is undecided. Then the arm's data equal, byte for byte, the
    data that a new run with these settings would write.

    `proposals`: for each reason why proposals are undecided, how many such proposals there are. `annotations`: how many
    samples the arm keeps although the recorded run never annotated them. `used_up`: the rounds, by number, that end
    with too few samples because the recorded run made no further proposal. `other_pool`: the rounds, by number, that
    begin with another pool of records (from which prompts take examples) than in the recorded run. `roles`: whether
    the arm has adjudicators, and another number of reviewers than the recorded run. A run with the arm's settings can
    then draw a different model as the adjudicator of a sample than the recorded run did.
    """

    proposals: Counter[str] = field(default_factory=Counter)
    annotations: int = 0
    used_up: list[int] = field(default_factory=list)
    other_pool: list[int] = field(default_factory=list)
    roles: bool = False

    @property
    def exact(self) -> bool:
        """Whether everything could be decided."""
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
    """Runs the rounds of one arm (a set of changed settings) on the proposals of a recorded run. Afterwards, the
    attribute `undecided` says what could not be decided, because the decision needs calls that the recorded run did not
    make. `had_reviewers`: the number of reviewers in the recorded run."""

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
