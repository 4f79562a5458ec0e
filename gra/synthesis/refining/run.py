"""Lets the committee refine the records of a data set, in their order, until all are done or enough samples are
kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

from gra.synthesis.committee.calls import Exchange, Rules
from gra.synthesis.committee.health import Health
from gra.synthesis.committee.records import Outcome, Seed
from gra.synthesis.committee_warnings import Watch
from gra.synthesis.engine.driver import Driver
from gra.synthesis.engine.spool import Spool
from gra.synthesis.refining.exchange import NUMBER, draw_task, refine
from gra.synthesis.refining.settings import RefineSettings
from gra.synthesis.rounds import Listener, SeedAccount, Synthesis, allowance, dropped
from gra.synthesis.scoring.examples import shelf_for
from gra.synthesis.seed_annotation import first_questions


class Refinery:
    """Refines the records of a data set under one set of rules. The results depend only on the records, the rules, the
    models and the replies.

    `folder`: where outcomes are stored during the run. `sample_filter`: a function that is called with each accepted
    sample. It returns None to keep the sample, or (reason, detail) to drop it. `state`: the object that collects the
    statistics of the reviewers. To read these statistics during the run, pass your own object.
    """

    def __init__(
        self,
        engine: Driver,
        settings: RefineSettings,
        rules: Rules,
        models: Sequence[str],
        listener: Listener,
        folder: Path,
        sample_filter: Callable[[Outcome], Awaitable[tuple[str, str] | None]] | None = None,
        state: Health | None = None,
    ):
        self._engine, self._settings, self._rules = engine, settings, rules
        self._models, self._listener, self._folder, self._filter = list(models), listener, folder, sample_filter
        self._watch = Watch(rules.settings, state)
        self._shelf = shelf_for(rules.settings, rules.seed, [])  # built-in examples only, because records are judged

    async def run(self, seeds: Sequence[Seed]) -> Synthesis:
        """Refine the records and return the result. A data set is refined in a single round, number 1. If fewer samples
        were kept than `refine.samples` asks for, the result's field `short` (the list of rounds with too few samples)
        is [1]."""
        asked = await first_questions(self._engine, self._rules, self._models)
        self._listener.heard(asked)
        wanted = len(seeds) if self._settings.samples is None else self._settings.samples
        self._listener.stage(f"round {NUMBER}", wanted)
        result = Synthesis(SeedAccount(calls=asked), Spool(self._folder / "kept"), Spool(self._folder / "rejected"))
        limit = None if self._settings.samples is None else lambda n: allowance(n, len(result.kept), wanted)
        exchanges = self._engine.stream(self._exchanges(seeds), limit)
        async with aclosing(exchanges):
            async for outcomes in exchanges:
                for outcome in outcomes:
                    await self._add(outcome, result)
                if len(result.kept) >= wanted:
                    break
                if self._watch.is_blind():
                    result.blind = self._watch.warnings
                    break
        self._watch.report()
        if self._settings.samples is not None and len(result.kept) < wanted:
            result.short = [NUMBER]
        return result

    def _exchanges(self, seeds: Sequence[Seed]) -> Iterator[Exchange[tuple[Outcome, ...]]]:
        for index, seed in enumerate(seeds):
            task = draw_task(seed, index, self._models, self._rules)
            yield refine(task, self._settings, self._rules, self._shelf)

    async def _add(self, outcome: Outcome, result: Synthesis) -> None:
        if outcome.status == "accepted" and self._filter is not None:
            found = await self._filter(outcome)
            outcome = outcome if found is None else dropped(outcome, *found)
        self._watch.add(outcome)
        self._listener.advance(outcome)
        (result.kept if outcome.status == "accepted" else result.rejected).add(outcome)
